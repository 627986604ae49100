-- Says before a change to the database that it comes: the tag changes now, and has no version until the change is
-- settled or its intent has ended, so that nothing read meanwhile can be stored under it.
--
-- Harmless to repeat before it is settled.
--
-- @key tag
-- @arg token      fresh and random for each change
-- @arg intent_ms  how long the change may take and still be covered
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = now + tonumber(ARGV[2])
local intent = 'w:' .. ARGV[1]
local latest = math.max(ends, tonumber(redis.call('HGET', KEYS[1], 'm') or 0))

-- What needs no memory comes first: behind it Redis refuses nothing at the limit. Then the intent, so that the hash is never
-- empty on the way: what is gone from a slot that is half moved cannot be written to by the script that removed it.
redis.call('HDEL', KEYS[1], intent)
redis.call('HSET', KEYS[1], intent, string.format('%.0f', ends), 'm', string.format('%.0f', latest))
redis.call('HDEL', KEYS[1], 'v')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))
return 1
