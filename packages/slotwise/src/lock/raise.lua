-- Raises the longest time that locks of a name may be held without being extended. It is never lowered: after a restart nobody
-- knows which locks are still held. Those without a quarantine are noted with 0, and never become those with one, nor the other way
-- round: their tokens are kept in different places. Harmless to repeat.
--
-- @key longest  a hash: name -> ms
-- @arg name  of the locks
-- @arg ms    0 for those without a quarantine
-- @return the longest there is | -1 they are of the other kind
local saved = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
local ms = tonumber(ARGV[2])
if saved and (saved == 0) ~= (ms == 0) then return -1 end
if saved and ms <= saved then return saved end
redis.call('HSET', KEYS[1], ARGV[1], ms)
return ms
