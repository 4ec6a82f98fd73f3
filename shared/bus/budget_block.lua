-- Let nobody ask a provider for a while. A block that lasts longer already is left as it is.
-- KEYS[1]  string, expiring: exists while the provider may not be asked
-- ARGV[1]  how long from now (ms)
-- returns  nothing
local block_key = KEYS[1]
local milliseconds = tonumber(ARGV[1])

if redis.call('PTTL', block_key) < milliseconds then redis.call('SET', block_key, '1', 'PX', milliseconds) end
