-- Puts letters where their rows lie in the layout that comes, for as long as the partition takes no lines and waits for just that
-- layout. Whoever was paused until it has begun, and would put back what has been settled meanwhile, changes nothing.
--
-- A letter keeps the tag of the line that it is about. No journal has that line any more, and none will: so whoever was told of a letter
-- by its tag tries this one again, and no other. Harmless to repeat.
--
-- @key partition
-- @arg sealed  what the partition belongs to meanwhile
-- @arg letters... of each the id, the tag, what is told
-- @return 1 they are there | 0 it belongs to something else
local hash = KEYS[1]
local meta = redis.call('HMGET', hash, 'p', 'c')
if meta[1] ~= ARGV[1] then return 0 end
-- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
redis.call('HDEL', hash, 'w')
local count = tonumber(meta[2] or 0)
-- bound: three for each letter
for at = 2, #ARGV - 2, 3 do
  local id = ARGV[at]
  local letter = redis.call('HGET', hash, 'x' .. id)
  local place = letter and string.sub(letter, 1, 14)
  if not place then
    count = count + 1
    place = string.format('%014.0f', count)
    redis.call('HSET', hash, 'i' .. string.format('%.0f', count), id, 'c', string.format('%.0f', count))
  end
  redis.call('HSET', hash, 'x' .. id, place .. ARGV[at + 1] .. ARGV[at + 2])
end
return 1
