-- Take a lease, or keep it. Taking it shuts out every earlier holder in the same call.
-- KEYS[1]  string, expiring: the holder
-- KEYS[2]  integer: the fence handed out last
-- KEYS[3..] hashes, if any: meta of the services published under this lease; see publish.lua
-- ARGV[1]  who asks
-- ARGV[2]  for how long (ms)
-- ARGV[3]  the asker's fence while its own clock says that the lease has not run out, else 0
-- ARGV[4]  a fence that a new one must exceed, 0 for none
-- returns  the fence of the asker's lease, or 0 if another holds it
local holder_key, fence_key = KEYS[1], KEYS[2]
local asker, milliseconds, own_fence, floor = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local holder = redis.call('GET', holder_key)
if holder and holder ~= asker then return 0 end
local last_fence = tonumber(redis.call('GET', fence_key) or 0) or 0
-- After a lapse it is a new lease, even if Redis still names the asker: a replica that was promoted may lag behind, and
-- name the holder before the last.
if holder and last_fence > 0 and own_fence == last_fence then
  redis.call('PEXPIRE', holder_key, milliseconds)
  return own_fence
end

-- A Redis that is full refuses SET, but not in a script that has written before; DEL and PEXPIRE it never refuses.
redis.call('DEL', holder_key)
redis.call('SET', holder_key, asker, 'PX', milliseconds)
-- Not below the clock, so that fences still grow after a Redis that lost this counter but not a service's; and above
-- every service's, for the clock may have been set back.
local clock = redis.call('TIME')
local fence = math.max(last_fence + 1, clock[1] * 1000000 + clock[2], floor + 1)
for i = 3, #KEYS do
  local highest = redis.pcall('HGET', KEYS[i], 'fence') -- a key of another type stops its own service only
  if type(highest) == 'string' then fence = math.max(fence, (tonumber(highest) or 0) + 1) end
end
local text = string.format('%.0f', fence)
redis.call('SET', fence_key, text)
for i = 3, #KEYS do redis.pcall('HSET', KEYS[i], 'fence', text) end
return fence
