-- Store what a worker reports, once: its counts are added to those of the cluster.
-- KEYS[1]  hash    provider to the outcome of its last call
-- KEYS[2]  hash    provider to its failed calls since the last success
-- KEYS[3]  hash    service to the state of its source pools
-- KEYS[4]  hash    service to its failovers
-- KEYS[5]  hash    category to its jobs
-- KEYS[6]  string, expiring: number of this reporter's newest report
-- ARGV[1]  number of this report among those of its reporter; a repetition has the same
-- ARGV[2]  for how long a repetition is recognized (ms)
-- ARGV[3..] what it says, in threes: `calls`, `failed`, `pools`, `failovers` or `jobs`; a field of that hash; its value,
--          or of `failed` and `failovers` what to add (a negative number replaces `failed`, see `Reports.write`)
-- returns  1, or 0 for a repetition
local calls_key, failures_key, pools_key, failovers_key, jobs_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local number_key = KEYS[6]
local number, milliseconds = ARGV[1], ARGV[2]

local newest = tonumber(redis.call('GET', number_key) or 0)
if tonumber(number) <= newest then return 0 end
redis.call('SET', number_key, number, 'PX', milliseconds)

local whole = {calls = calls_key, pools = pools_key, jobs = jobs_key}
local added = {failed = failures_key, failovers = failovers_key}
for i = 3, #ARGV, 3 do
  local part, field, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if whole[part] then
    redis.call('HSET', whole[part], field, value)
  elseif part == 'failed' and tonumber(value) < 0 then
    redis.call('HSET', failures_key, field, -value - 1) -- a call has succeeded in between
  else
    redis.call('HINCRBY', added[part], field, value)
  end
end
return 1
