-- Lets a journal take no more lines, because its rows are to lie in other partitions. What waits in it can still be taken.
--
-- A layout is ten digits of how often the number of partitions was changed, `:`, and the number. A journal that belongs to the
-- layout that comes, or to a later one, is left as it is: whoever asks was paused for long.
-- Harmless to repeat. What is there already is written once more, since who waits for replicas waits for what its own connection has
-- written.
--
-- @key partition
-- @arg layout  the one that comes
-- @return what it belongs to now
local was = redis.call('HGET', KEYS[1], 'p') or ''
local digits = string.sub(was, 1, 10)
if string.sub(was, 1, 1) == '>' then digits = string.sub(was, 2, 11) end
if was == '' or was == '>' .. ARGV[1] or tonumber(digits) < tonumber(string.sub(ARGV[1], 1, 10)) then
  -- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
  redis.call('HDEL', KEYS[1], 'w')
  redis.call('HSET', KEYS[1], 'p', '>' .. ARGV[1])
  return '>' .. ARGV[1]
end
return was
