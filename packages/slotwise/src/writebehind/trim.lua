-- Removes lines of a journal that are in the database, and the state of rows of which nothing is left to write.
--
-- Only what the caller has written: it says how the last of the lines is tagged, and after a failover the same number may be
-- another line. Lines before it are the same as it has read then, since each names the one before.
-- Where no database knows which flusher was the last, the journal does: an earlier one removes nothing.
-- Harmless to repeat.
--
-- @key partition
-- @arg to     the number of the last line
-- @arg tag    its tag
-- @arg fresh  8 random bytes, by which others see that lines were removed
-- @arg owner  who flushes, as it was told when the lines were read
-- @return how many lines were removed; -1 if a later one flushes
local hash = KEYS[1]
local owner, known = ARGV[4], redis.call('HGET', hash, 'o') or ''
if string.sub(owner, 1, 1) == 't' and string.sub(known, 1, 1) == 't' and
  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then
  return -1
end
local last = redis.call('HGET', hash, 'j' .. ARGV[1])
if not last or string.sub(last, 1, 8) ~= ARGV[2] then return 0 end
local meta = redis.call('HMGET', hash, 'f', 'b')
local first, size = tonumber(meta[1] or 1), tonumber(meta[2] or 0)
local to = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local removed = redis.call('HGET', hash, 'y')
local since, every = now, 0
if removed then
  since, every = tonumber(string.sub(removed, 9, 22)) or now, tonumber(string.sub(removed, 23)) or 0
end
-- For how long this has been under way: since lines went before, or since the first of these came.
local oldest = redis.call('HGET', hash, 'j' .. string.format('%.0f', first))
if oldest and (not removed or tonumber(string.sub(oldest, 17, 30)) > since) then
  since = tonumber(string.sub(oldest, 17, 30))
end
local took = math.max(0, now - since)
if removed then took = math.floor((took + every) / 2) end
-- As many fields as one call takes at a time.
local CHUNK = 1000
-- bound: the lines there may be, a thousandth of them
for start = first, to, CHUNK do
  local gone = {}
  -- bound: CHUNK
  for number = start, math.min(to, start + CHUNK - 1) do
    gone[#gone + 1] = 'j' .. string.format('%.0f', number)
  end
  local lines = redis.call('HMGET', hash, unpack(gone))
  -- From the last, since what is left to write of a row is in its last line.
  local seen, tags, rows = {}, {}, {}
  -- bound: CHUNK
  for i = #gone, 1, -1 do
    local line = lines[i]
    if line then
      local id = string.sub(line, 31)
      size = size - #line
      if not seen[id] then
        seen[id] = true
        rows[#rows + 1] = 's' .. id
        tags[#tags + 1] = string.sub(line, 1, 8)
      end
    end
  end
  if #rows > 0 then
    local found = redis.call('HMGET', hash, unpack(rows))
    -- bound: CHUNK
    for i = 1, #rows do
      local row = found[i]
      if row and string.sub(row, 1, 8) == tags[i] then
        size = size - #row
        gone[#gone + 1] = rows[i]
      end
    end
  end
  redis.call('HDEL', hash, unpack(gone))
end
redis.call('HSET', hash, 'f', string.format('%.0f', to + 1), 'b', string.format('%.0f', size),
  'y', ARGV[3] .. string.format('%014.0f%.0f', now, took))
return to - first + 1
