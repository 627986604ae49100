-- Ends everything that bears the tag: it has no version, and no former one counts.
--
-- Fields as in seen.lua. Harmless to repeat.
--
-- @key tag
-- @arg change  what is given to no other change
-- @arg keep_ms for how long it is remembered when that was
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', now)

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'c', at, 'h', at, 'i', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
