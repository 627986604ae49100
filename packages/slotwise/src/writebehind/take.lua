-- The lines of a journal behind a position, and what the rows are now that they are about. Changes nothing; with `write` it
-- writes what is there already, since who waits for replicas or a disk waits for what its own connection has written.
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
-- @arg write   1 to write something, 0 not to
-- @return {whether it goes on from there, number of the first line, number of the last, its tag, number of the last that there is, its tag, number of the first that there is, rows...} each row is {id, state, counters}
local hash = KEYS[1]
local meta = redis.call('HMGET', hash, 'f', 'l', 't')
if ARGV[6] == '1' and meta[2] then
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
local reply = {goesOn, from, upTo, tag, last, latest, first}
if from > last then
  reply[3] = last
  reply[4] = latest
end

local seen = {}
-- bound: most
for at = from, upTo do
  local line = redis.call('HGET', hash, 'j' .. string.format('%.0f', at))
  if line then
    reply[4] = string.sub(line, 1, 8)
    local id = string.sub(line, 31)
    if not seen[id] then
      seen[id] = true
      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)
      reply[#reply + 1] = {id, row[1] or '', row[2] or ''}
    end
  end
end
return reply
