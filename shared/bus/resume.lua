-- Read where a service's last update ended, and shut out whoever held its lease before.
-- KEYS[1]  hash    meta: see publish.lua
-- ARGV[1]  fence of the reader's lease, 0 to read only
-- returns  the cursor or nil, or the error FENCED
-- In one call: after it no holder before can publish what the reader is about to tell.
if ARGV[1] == '0' then return redis.call('HGET', KEYS[1], 'cursor') end
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) then
  return redis.error_reply('FENCED a newer holder of the lease publishes here')
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
return redis.call('HGET', KEYS[1], 'cursor')
