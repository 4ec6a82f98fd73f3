-- Take a lease, or keep it.
-- KEYS[1]  string, expiring: the holder
-- KEYS[2]  integer: the fence handed out last
-- ARGV[1]  who asks
-- ARGV[2]  for how long (ms)
-- returns  the fence of the asker's lease, or 0 if another holds it
local holder_key, fence_key = KEYS[1], KEYS[2]
local asker, milliseconds = ARGV[1], ARGV[2]

local holder = redis.call('GET', holder_key)
if holder and holder ~= asker then return 0 end
redis.call('SET', holder_key, asker, 'PX', milliseconds)
local fence = tonumber(redis.call('GET', fence_key) or 0)
if holder and fence > 0 then return fence end
-- Not below the clock, so that fences still grow after a Redis that lost this counter but not a channel's.
local clock = redis.call('TIME')
fence = math.max(fence + 1, clock[1] * 1000000 + clock[2])
redis.call('SET', fence_key, string.format('%.0f', fence))
return fence
