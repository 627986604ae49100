-- Where a line of a journal is. Nearly always at the beginning of lines that came together, or among the first of all.
--
-- @key partition
-- @arg first   the number of the first of the lines that there are
-- @arg number  that of the line
-- @return number of the first line that came with it, the lines as they are in the journal; nothing if it is not there
local start, number = ARGV[1], ARGV[2]
local own = redis.call('HGET', KEYS[1], 'j' .. string.format('%.0f', number))
if own then return number, own end
-- bound: the lines that there are
while start <= number do
  local chunk = redis.call('HGET', KEYS[1], 'j' .. string.format('%.0f', start))
  if not chunk then return nil end
  local after = start + string.byte(chunk, 23) * 256 + string.byte(chunk, 24)
  if number < after then return start, chunk end
  start = after
end
return nil
