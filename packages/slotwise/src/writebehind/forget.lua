-- Removes letters: of rows that are to be written, or that nobody wants to hear of any more. The last letter takes the place of
-- one that goes, so that places have no gap. Harmless to repeat.
--
-- @key partition
-- @arg owner  who flushes, as it was told when the rows were read; empty for who does not
-- @arg ids... of the rows
-- @return how many letters there were; -1 if a later one flushes
local hash, owner = KEYS[1], ARGV[1]
local meta = redis.call('HMGET', hash, 'c', 'o')
local known = meta[2] or ''
if string.sub(known, 1, 1) == string.sub(owner, 1, 1) and owner ~= '' and
  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then
  return -1
end
-- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
redis.call('HDEL', hash, 'w')
local before = tonumber(meta[1] or 0)
local count = before
local gone = {}
-- bound: the ids
for at = 2, #ARGV do
  local id = ARGV[at]
  local letter = redis.call('HGET', hash, 'x' .. id)
  if letter and not gone[id] then
    gone[id] = true
    local place, last = string.sub(letter, 1, 14), 'i' .. string.format('%.0f', count)
    local name = redis.call('HGET', hash, last)
    if name and name ~= id then
      local moved = redis.call('HGET', hash, 'x' .. name) or ''
      redis.call('HSET', hash, 'i' .. string.format('%.0f', tonumber(place)), name,
        'x' .. name, place .. string.sub(moved, 15))
    end
    count = count - 1
    redis.call('HSET', hash, 'c', string.format('%.0f', count))
    redis.call('HDEL', hash, last, 'x' .. id)
  end
end
return before - count
