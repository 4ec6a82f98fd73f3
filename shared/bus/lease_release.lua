-- Give a lease back, if the asker holds it, and wake one who waits for it.
-- KEYS[1]  string, expiring: the holder
-- KEYS[2]  list, expiring: has an entry while nobody has noticed that the lease was given back
-- ARGV[1]  who gives it back
-- ARGV[2]  how long the entry stays (ms)
-- returns  1 if it was the holder, else 0
local holder_key, handover_key = KEYS[1], KEYS[2]
local asker, milliseconds = ARGV[1], ARGV[2]

if redis.call('GET', holder_key) ~= asker then return 0 end
redis.call('DEL', holder_key, handover_key)
redis.call('LPUSH', handover_key, asker)
redis.call('PEXPIRE', handover_key, milliseconds)
return 1
