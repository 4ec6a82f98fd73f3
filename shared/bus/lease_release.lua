-- Give a lease back, if the asker holds it.
-- KEYS[1]  string, expiring: the holder
-- ARGV[1]  who gives it back
-- returns  1 if it was the holder, else 0
local holder_key = KEYS[1]
local asker = ARGV[1]

if redis.call('GET', holder_key) == asker then return redis.call('DEL', holder_key) end
return 0
