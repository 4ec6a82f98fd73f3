-- Spend part of a provider's free tier, for the whole cluster together: an exact sliding window.
-- KEYS[1]  sorted set: one member per call, `<time>-<n>:<cost>`, scored by the time of the call (ms)
-- KEYS[2]  string, expiring: exists while the provider may not be asked, see budget_block.lua
-- ARGV[1]  units that a window allows
-- ARGV[2]  window (ms)
-- ARGV[3]  cost of this call in units
-- Redis' clock may be set back: calls counted more than a minute ahead of it, and a block that is longer than any, are of
-- before, and would forbid calls until that time comes again.
-- returns  0 if the call may be made now, else the milliseconds until it may be
local calls_key, block_key = KEYS[1], KEYS[2]
local units, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local ahead, longest_block = 60000, 3 * 86400000

local blocked = redis.call('PTTL', block_key)
if blocked > 0 and blocked <= longest_block then return blocked end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', calls_key, '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', calls_key, now + ahead, '+inf')
local calls = redis.call('ZRANGE', calls_key, 0, -1, 'WITHSCORES')
local used = 0
for i = 1, #calls, 2 do used = used + tonumber(string.match(calls[i], ':(%d+)$')) end
if used + cost <= units then
  redis.call('ZADD', calls_key, now, clock[1] .. clock[2] .. '-' .. #calls .. ':' .. cost)
  redis.call('PEXPIRE', calls_key, window)
  return 0
end
local excess = used + cost - units
for i = 1, #calls, 2 do
  excess = excess - tonumber(string.match(calls[i], ':(%d+)$'))
  if excess <= 0 then return math.max(1, math.ceil(tonumber(calls[i + 1]) + window - now)) end
end
return window
