-- One step of carrying dead letters to the partitions of another layout, for as long as that layout has not begun at this key.
-- Whoever was paused until then, and would put back what has been settled meanwhile, changes nothing.
-- Harmless to repeat.
--
-- @key letters
-- @arg changes  how often the number of partitions was changed, with this change
-- @arg name     of the row; empty to let the layout begin
-- @arg letter   empty to remove it
-- @return 1 done | 0 the layout has begun
local began = redis.call('HGET', KEYS[1], '')
if began and tonumber(began) >= tonumber(ARGV[1]) then return 0 end
if ARGV[2] == '' then
  redis.call('HSET', KEYS[1], '', ARGV[1])
elseif ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3])
end
return 1
