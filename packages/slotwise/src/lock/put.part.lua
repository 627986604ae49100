-- Writes the record of a lock, as acquire.lua describes it, and for how long it is kept. A server whose memory is full refuses, and
-- lets a script go on that has begun with what needs none: whoever holds something keeps it there, and frees it, and those who make room
-- may have to hold something for it.
--
-- @key lock
-- @arg record   as acquire.lua says
-- @arg keep_ms  for how long
-- @return nothing
if redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]).err then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
