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
local hash = KEYS[1]
local meta = redis.call('HMGET', hash, 'f', 'l', 't', 'b', 'c', 'o')
if ARGV[7] == '1' and meta[2] then
  -- A server whose memory is full lets a script go on that has begun with what needs none; there is no such field.
  redis.call('HDEL', hash, 'w')
  redis.call('HSET', hash, 'l', meta[2])
end
local first, last, latest = tonumber(meta[1] or 1), tonumber(meta[2] or 0), meta[3] or string.rep('\0', 8)

local function goesOnFrom(number, tag)
  if number == last then return tag == latest end
  if number < first - 1 or number > last then return false end
  -- Each line names the one before it, which may be gone.
  local next = redis.call('HGET', hash, 'j' .. string.format('%.0f', number + 1))
  return next and string.sub(next, 9, 16) == tag
end

local number, tag = tonumber(ARGV[1]), ARGV[2]
local goesOn = 0
local from = first
if goesOnFrom(number, tag) and goesOnFrom(tonumber(ARGV[3]), ARGV[4]) then
  goesOn = 1
  from = number + 1
end
local upTo = math.min(last, from + tonumber(ARGV[5]) - 1)
local letters = tonumber(meta[5] or 0)
local reply = {goesOn, from, upTo, tag, last, latest, first, tonumber(meta[4] or 0), 0, letters, {}}
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

-- As many fields as one call takes at a time.
local CHUNK = 1000
local seen, ids = {}, {}
-- bound: most, a thousandth of it
for start = from, upTo, CHUNK do
  local places = {}
  -- bound: CHUNK
  for at = start, math.min(upTo, start + CHUNK - 1) do
    places[#places + 1] = 'j' .. string.format('%.0f', at)
  end
  local lines = redis.call('HMGET', hash, unpack(places))
  -- bound: CHUNK
  for i = 1, #places do
    local line = lines[i]
    if line then
      reply[4] = string.sub(line, 1, 8)
      if start + i - 1 == from then
        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        reply[9] = math.max(0, now - tonumber(string.sub(line, 17, 30)))
      end
      local id = string.sub(line, 31)
      if not seen[id] then
        seen[id] = true
        ids[#ids + 1] = id
      end
    end
  end
end

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
