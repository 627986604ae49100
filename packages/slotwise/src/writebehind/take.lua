-- The lines of a journal behind a position, and what the rows are now that they are about. Changes nothing, but for who is
-- known to flush:
--   o        `e` and the number of a claim in a database, or `t` and the token of a lease: the highest that has read lines
-- What an earlier flusher says of letters after that does not count. With `write` it writes what is there already, since who
-- waits for replicas or a disk waits for what its own connection has written.
--
-- The position is what a database has: every line up to one. Of rows that had changed again it may have more than that, for
-- what is written is what a row is at the time; so it also says which line was the last then. Where the journal does not go on
-- from both, since a failover has taken back what was accepted or trimmed, all that there is of it is to be written again, from
-- its first line.
--
-- @key partition
-- @arg number  of the last line that was written; 0 for none
-- @arg tag     its tag; 8 zero bytes for none
-- @arg seen_number  of the last line that there was
-- @arg seen_tag     its tag
-- @arg most    how many lines at most
-- @arg owner   who flushes, as in `o`
-- @arg write   1 to write something, 0 not to
-- @return {whether it goes on from there, number of the first line, number of the last, its tag, number of the last that there is, its tag, number of the first that there is, bytes of all, milliseconds since the first line came, number of letters, {ids of rows of which there is one}, rows...} each row is its id and what there is of it
-- include: lines.part.lua
local hash = KEYS[1]
local meta = redis.call('HMGET', hash, 'f', 'l', 't', 'b', 'c', 'o', 'g')
if ARGV[7] == '1' and meta[2] then
  -- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
  redis.call('HDEL', hash, 'w')
  redis.call('HSET', hash, 'l', meta[2])
end
local first, last, latest = tonumber(meta[1] or 1), tonumber(meta[2] or 0), meta[3] or string.rep('\0', 8)
local oldest = tonumber(meta[7] or first)

-- The number of the first of the lines that came together with a line, and all of them; nothing if they are not there. Nearly always the
-- line is the first itself, or among the first that there are.
local function cameWith(number)
  local own = redis.call('HGET', hash, 'j' .. string.format('%.0f', number))
  if own then return number, own end
  local start = oldest
  -- bound: the lines that there are
  while start <= number do
    local together = redis.call('HGET', hash, 'j' .. string.format('%.0f', start))
    if not together then return nil end
    local after = start + string.byte(together, 23) * 256 + string.byte(together, 24)
    if number < after then return start, together end
    start = after
  end
  return nil
end

-- What was read to its end was read up to the end of lines that came together; what was written may end among them.
local function goesOnFrom(number, tag, isEnd)
  if number == last then return tag == latest end
  if number < first - 1 or number > last then return false end
  -- What came together names the line before it, which may be gone.
  local next = redis.call('HGET', hash, 'j' .. string.format('%.0f', number + 1))
  if next then return string.sub(next, 1, 8) == tag end
  if isEnd then return false end
  local start, together = cameWith(number)
  if not start then return false end
  local tags = lines({ hash }, { together })
  return tags[number - start + 1] == tag
end

local number, tag = tonumber(ARGV[1]), ARGV[2]
local goesOn = 0
local from = first
if goesOnFrom(tonumber(ARGV[3]), ARGV[4], true) and goesOnFrom(number, tag, false) then
  goesOn = 1
  from = number + 1
end
local most = tonumber(ARGV[5])
local letters = tonumber(meta[5] or 0)
local reply = {goesOn, from, from - 1, tag, last, latest, first, tonumber(meta[4] or 0), 0, letters, {}}
if from > last then
  reply[3] = last
  reply[4] = latest
  return reply
end

local owner, known = ARGV[6], meta[6] or ''
local isSameKind = string.sub(known, 1, 1) == string.sub(owner, 1, 1)
if not isSameKind or tonumber(string.sub(known, 2)) < tonumber(string.sub(owner, 2)) then
  -- As above, for a server whose memory is full.
  redis.call('HDEL', hash, 'w')
  redis.call('HSET', hash, 'o', owner)
end

local seen, ids = {}, {}
local count = 0
local start, together = cameWith(from)
-- Only a hand in the data does that.
if not together then return redis.error_reply('ERR lines of this journal are missing') end
-- bound: most
while together do
  local tags, names = lines({ hash }, { together })
  local at = from + count - start + 1
  local ends = #tags
  if count + ends - at + 1 > most then ends = at + most - count - 1 end
  if count == 0 then
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    reply[9] = math.max(0, now - tonumber(string.sub(together, 9, 22)))
  end
  -- bound: most
  for i = at, ends do
    local id = names[i]
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  reply[3] = start + ends - 1
  reply[4] = tags[ends]
  count = count + ends - at + 1
  if count >= most then break end
  start = start + #tags
  together = start <= last and redis.call('HGET', hash, 'j' .. string.format('%.0f', start))
end

-- As many fields as one call takes at a time.
local CHUNK = 1000
-- bound: most, a thousandth of it
for start = 1, #ids, CHUNK do
  local fields = {}
  local ends = math.min(#ids, start + CHUNK - 1)
  -- bound: CHUNK
  for i = start, ends do fields[#fields + 1] = 's' .. ids[i] end
  local rows = redis.call('HMGET', hash, unpack(fields))
  -- bound: CHUNK
  for i = start, ends do
    local row = rows[i - start + 1]
    if row then
      reply[#reply + 1] = ids[i]
      reply[#reply + 1] = row
    end
  end
  if letters > 0 then
    -- bound: CHUNK
    for i = 1, #fields do fields[i] = 'x' .. ids[start + i - 1] end
    local found = redis.call('HMGET', hash, unpack(fields))
    -- bound: CHUNK
    for i = 1, #fields do
      if found[i] then reply[11][#reply[11] + 1] = ids[start + i - 1] end
    end
  end
end
return reply
