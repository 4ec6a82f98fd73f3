-- Read where a service's last update ended, and shut out whoever held its lease before.
-- KEYS[1]  hash    meta: see publish.lua
-- ARGV[1]  fence of the reader's lease, 0 to read only
-- returns  the cursor or nil, or the error FENCED
-- In one call: no earlier holder can publish after it what the reader is about to publish.
local meta_key = KEYS[1]
local fence = ARGV[1]

if fence ~= '0' then
  if tonumber(fence) < (tonumber(redis.call('HGET', meta_key, 'fence') or 0) or 0) then
    return redis.error_reply('FENCED a newer holder of the lease publishes here')
  end
  redis.call('HSET', meta_key, 'fence', fence)
end
return redis.call('HGET', meta_key, 'cursor')
