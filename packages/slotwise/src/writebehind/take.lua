-- The lines of a journal behind a position, and what the rows are now that they are about. Changes nothing.
--
-- The position is what a database has. Where the journal does not go on from there, since a failover has taken back what was
-- accepted or trimmed, all that there is of it is to be written again, from its first line.
--
-- @key partition
-- @arg number  of the last line that was written; 0 for none
-- @arg tag     its tag; 8 zero bytes for none
-- @arg most    how many lines at most
-- @return {whether it goes on from there, number of the first line, number of the last, its tag, lines beyond it, rows...} each row is {id, state, names and values of its counters...}
local hash = KEYS[1]
local number, tag = tonumber(ARGV[1]), ARGV[2]
local meta = redis.call('HMGET', hash, 'f', 'l', 't')
local first, last, latest = tonumber(meta[1] or 1), tonumber(meta[2] or 0), meta[3] or string.rep('\0', 8)

local goesOn = 0
if number == last then
  if tag == latest then goesOn = 1 end
elseif number >= first - 1 and number < last then
  -- Each line names the one before it, which may be gone.
  local next = redis.call('HGET', hash, 'j' .. string.format('%.0f', number + 1))
  if next and string.sub(next, 9, 16) == tag then goesOn = 1 end
end
local from = first
if goesOn == 1 then from = number + 1 end
local upTo = math.min(last, from + tonumber(ARGV[3]) - 1)
local reply = {goesOn, from, upTo, tag, last - upTo}
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
    local id = string.sub(line, 17)
    if not seen[id] then
      seen[id] = true
      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)
      local told = {id, row[1] or ''}
      local names = row[2] or ''
      local place = 1
      -- bound: the names that fit
      while place <= #names do
        local ends = place + string.byte(names, place)
        told[#told + 1] = string.sub(names, place + 1, ends)
        told[#told + 1] = redis.call('HGET', hash, 'c' .. string.sub(names, place, ends) .. id) or ''
        place = ends + 1
      end
      reply[#reply + 1] = told
    end
  end
end
return reply
