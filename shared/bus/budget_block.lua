-- Let nobody ask a provider for a while. A block that lasts longer already is left as it is.
-- KEYS[1]  string, expiring: exists while the provider may not be asked
-- ARGV[1]  how long from now (ms)
-- returns  nothing
local block_key = KEYS[1]
local milliseconds = tonumber(ARGV[1])

local left = redis.call('PTTL', block_key)
-- Longer than three days is of before Redis' clock was set back, see budget.lua.
if left < milliseconds or left > 3 * 86400000 then redis.call('SET', block_key, '1', 'PX', milliseconds) end
