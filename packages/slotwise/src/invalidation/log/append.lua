-- Appends what is out of date to a log of which the last entries are kept, and wakes who reads it.
--
-- Of each entry, by its number:
--   n  the number of the last    e<n>  what is out of date    t<n>  random, so that a number that a failover has given out
--   twice is told from the one before
-- Harmless to repeat: what is out of date twice is out of date.
--
-- @key log
-- @arg tag    8 random bytes
-- @arg items  what is out of date
-- @arg keep   how many entries are kept
-- @arg for_ms  how long the log is kept after its last entry
-- @return the number of the entry
local number = redis.call('HINCRBY', KEYS[1], 'n', 1)
local old = number - tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'e' .. string.format('%.0f', number), ARGV[2], 't' .. string.format('%.0f', number), ARGV[1])
redis.call('HDEL', KEYS[1], 'e' .. string.format('%.0f', old), 't' .. string.format('%.0f', old))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.pcall('SPUBLISH', KEYS[1], '')
return number
