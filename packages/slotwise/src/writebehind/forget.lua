-- Removes letters: of rows that are to be written, or that nobody wants to hear of any more, or that lie in another partition by
-- now. The last letter takes the place of one that goes, so that places have no gap. Harmless to repeat. Where its caller was told of a
-- letter, only that one goes, and none that says of a row what has become of it since; else with it that the row was passed over.
--
-- Where a partition takes no more lines its letters are being carried to others, and of those who do not flush only who does that
-- removes them: what somebody else removed could have been carried already.
--
-- @key partition
-- @arg owner  who flushes, as it was told when the rows were read; of who does not, what the partition belongs to while it takes no lines, else empty
-- @arg letters... of each the id, and its tag; empty for whichever there is
-- @return how many letters there were; -1 if a later one flushes, or the partition belongs to something else
local hash, owner = KEYS[1], ARGV[1]
local meta = redis.call('HMGET', hash, 'c', 'o', 'p')
local kind = string.sub(owner, 1, 1)
if kind == 'e' or kind == 't' then
  local known = meta[2] or ''
  if string.sub(known, 1, 1) == kind and tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then
    return -1
  end
else
  local sealed = meta[3] or ''
  if string.sub(sealed, 1, 1) ~= '>' then sealed = '' end
  if owner ~= sealed then return -1 end
end
-- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
redis.call('HDEL', hash, 'w')
local before = tonumber(meta[1] or 0)
local count = before
local gone, passed = {}, {}
-- bound: two for each letter
for at = 2, #ARGV - 1, 2 do
  local id, tag = ARGV[at], ARGV[at + 1]
  local letter = redis.call('HGET', hash, 'x' .. id)
  if letter and not gone[id] and (tag == '' or string.sub(letter, 15, 22) == tag) then
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
  if tag == '' then passed[#passed + 1] = 'u' .. id end
end
if #passed > 0 then redis.call('HDEL', hash, unpack(passed)) end
return before - count
