-- Replaces the settings of a name, if they are still what the caller has read.
-- Harmless to repeat: never do they become again what they were.
--
-- @key settings
-- @arg expected    partitions, changes, moving and former, each behind the one before and a `/`
-- @arg partitions  how many there are
-- @arg changes     how often that was changed
-- @arg moving      how many there are to be; empty for no change
-- @arg former      up to so many there were, whose flushers the database has not fenced yet; empty for none
-- @return 1 they are as wanted | 0 they were something else
local was = redis.call('HMGET', KEYS[1], 'partitions', 'changes', 'moving', 'former')
local now = (was[1] or '') .. '/' .. (was[2] or '0') .. '/' .. (was[3] or '') .. '/' .. (was[4] or '')
local wanted = ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[4] .. '/' .. ARGV[5]
if now == wanted then return 1 end
if now ~= ARGV[1] then return 0 end
-- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'partitions', ARGV[2], 'changes', ARGV[3], 'moving', ARGV[4], 'former', ARGV[5])
return 1
