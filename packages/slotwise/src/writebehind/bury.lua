-- Keeps letters about rows that a database does not take, beside the journal:
--   x<id>    a letter: its place in fourteen digits, the tag of the row's last line when it was refused, what is told of it
--   i<n>     the id of the letter at this place; places are 1 to c, without a gap
--   c        how many letters there are
--   u<id>    up to which line a row was passed over, since it had changed when it was refused: nobody is told that it was written
-- Only what the last flusher says counts, and only of a row that is what was refused: whoever stood still before it could say
-- so, and finds another at work or the row changed, adds nothing. Where the row has changed, its last line is to be written.
-- Harmless to repeat.
--
-- @key partition
-- @arg owner   who flushes, as it was told when the rows were read
-- @arg upto    the number of the last line that they were read from
-- @arg letters... of each the id, the tag of the row's last line, what is told
-- @return {0} a later one flushes | {1, number of the last line that there is, its tag, ids...} those of which there is a letter now
local hash, owner = KEYS[1], ARGV[1]
local meta = redis.call('HMGET', hash, 'l', 't', 'c', 'o')
local known = meta[4] or ''
if string.sub(known, 1, 1) == string.sub(owner, 1, 1) and
  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then
  return {0}
end
-- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
redis.call('HDEL', hash, 'w')
local count = tonumber(meta[3] or 0)
local reply = {1, tonumber(meta[1] or 0), meta[2] or string.rep('\0', 8)}
-- bound: three for each letter
for at = 3, #ARGV - 2, 3 do
  local id, tag = ARGV[at], ARGV[at + 1]
  if string.sub(redis.call('HGET', hash, 's' .. id) or '', 1, 8) == tag then
    local letter = redis.call('HGET', hash, 'x' .. id)
    local place = letter and string.sub(letter, 1, 14)
    if not place then
      count = count + 1
      place = string.format('%014.0f', count)
      redis.call('HSET', hash, 'i' .. string.format('%.0f', count), id, 'c', string.format('%.0f', count))
    end
    redis.call('HSET', hash, 'x' .. id, place .. tag .. ARGV[at + 2])
    reply[#reply + 1] = id
  else
    redis.call('HSET', hash, 'u' .. id, ARGV[2])
  end
end
return reply
