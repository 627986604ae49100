-- Raises the longest time that locks of a name may be held without being extended. It is never lowered: after a restart nobody
-- knows which locks are still held. Harmless to repeat.
--
-- @key longest  a hash: name -> ms
-- @arg name  of the locks
-- @arg ms       0 only looks
-- @return the longest there is
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0
local ms = tonumber(ARGV[2])
if ms <= known then return known end
redis.call('HSET', KEYS[1], ARGV[1], ms)
return ms
