-- Spend part of a provider's free tier, for the whole cluster together: an exact sliding window.
-- KEYS[1]  sorted set: one member a call, `<time>-<n>:<cost>`, scored by when it was made (ms)
-- KEYS[2]  string, expiring: the provider asked to be left alone (Retry-After)
-- ARGV     units a window allows, window (ms), cost of this call
-- returns  0 if the call may be made now, else how many ms until it may be
local blocked = redis.call('PTTL', KEYS[2])
if blocked > 0 then return blocked end
local units, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local calls = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local used = 0
for i = 1, #calls, 2 do used = used + tonumber(string.match(calls[i], ':(%d+)$')) end
if used + cost <= units then
  redis.call('ZADD', KEYS[1], now, clock[1] .. clock[2] .. '-' .. #calls .. ':' .. cost)
  redis.call('PEXPIRE', KEYS[1], window)
  return 0
end
local excess = used + cost - units
for i = 1, #calls, 2 do
  excess = excess - tonumber(string.match(calls[i], ':(%d+)$'))
  if excess <= 0 then return math.max(1, math.ceil(tonumber(calls[i + 1]) + window - now)) end
end
return window
