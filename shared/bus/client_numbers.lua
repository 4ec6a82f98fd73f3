-- Hand out client numbers, each once in the whole cluster.
-- KEYS[1]  integer: the highest number handed out
-- ARGV[1]  the highest number that the asker was handed so far
-- ARGV[2]  how many numbers it wants; with 0 only the counter is checked
-- returns  the number below the first that is handed out
local highest_key = KEYS[1]
local known, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])

local stored = tonumber(redis.call('GET', highest_key) or 0)
local highest = stored
if highest < known then
  -- Redis lost it, and other gateways may hold higher ones than the asker: go on from the clock (ms), above them all.
  local clock = redis.call('TIME')
  highest = math.max(known, clock[1] * 1000 + math.floor(clock[2] / 1000))
end
-- A check writes nothing: a Redis that is full, or whose disk is, would refuse it.
if highest + wanted ~= stored then redis.call('SET', highest_key, string.format('%.0f', highest + wanted)) end
return highest
