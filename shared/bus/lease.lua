-- Take a lease, or keep it.
-- KEYS[1]  string, expiring: the holder
-- KEYS[2]  integer: the fence handed out last
-- ARGV     who asks, for how long (ms)
-- returns  the fence of the asker's lease, or 0 if somebody else holds it
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local fence = tonumber(redis.call('GET', KEYS[2]) or 0)
if holder and fence > 0 then return fence end
-- Not below the clock, so that fences still grow after a Redis that lost this counter but not a channel's.
local clock = redis.call('TIME')
fence = math.max(fence + 1, clock[1] * 1000000 + clock[2])
redis.call('SET', KEYS[2], string.format('%.0f', fence))
return fence
