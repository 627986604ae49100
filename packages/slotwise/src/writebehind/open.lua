-- Lets a journal take lines of a layout from now on. One that still takes those of an earlier layout has to be sealed first, and
-- one of a later layout is left as it is: whoever asks was paused for long.
-- Harmless to repeat.
--
-- @key partition
-- @arg layout  as for `seal`
-- @return what it belongs to now
local was = redis.call('HGET', KEYS[1], 'p') or ''
local sealed = string.sub(was, 1, 1) == '>'
if was == '' or (sealed and tonumber(string.sub(was, 2, 11)) <= tonumber(string.sub(ARGV[1], 1, 10))) then
  -- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
  redis.call('HDEL', KEYS[1], 'w')
  redis.call('HSET', KEYS[1], 'p', ARGV[1])
  return ARGV[1]
end
return was
