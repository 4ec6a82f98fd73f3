-- Store what a worker knows of the coins, unless it is there already.
-- KEYS[1]  hash    meta of the service whose coins they are: see publish.lua
-- KEYS[2]  hash    the coins: `list` (JSON), and its `version`, the SHA-1 of `list` in hexadecimal
-- ARGV[1]  fence of the writer's lease, 0 for none
-- ARGV[2]  version to store
-- ARGV[3]  list to store, or '' to ask whether it must be sent
-- ARGV[4]  1 where any list that is there stays, because it may be better
-- returns  1 if nothing has to be sent, 0 if the list has; or the error FENCED
local meta_key, coins_key = KEYS[1], KEYS[2]
local fence, version, list, stays = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if tonumber(fence) < (tonumber(redis.call('HGET', meta_key, 'fence') or 0) or 0) then
  return redis.error_reply('FENCED a newer holder of the lease writes here')
end

-- Others may have written there, too: a list that is not what its version says is replaced.
local found = redis.pcall('HMGET', coins_key, 'version', 'list')
local whole = not found.err and found[1] and found[2] and redis.sha1hex(found[2]) == found[1]
if whole and (found[1] == version or stays == '1') then return 1 end
if list == '' then return 0 end
if found.err then redis.call('DEL', coins_key) end
redis.call('HSET', coins_key, 'version', version, 'list', list)
return 1
