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
-- include: lines.part.lua
local hash = KEYS[1]
local owner, known = ARGV[4], redis.call('HGET', hash, 'o') or ''
if string.sub(owner, 1, 1) == 't' and string.sub(known, 1, 1) == 't' and
  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then
  return -1
end
local meta = redis.call('HMGET', hash, 'f', 'l', 'b', 'g')
local first, last, size = tonumber(meta[1] or 1), tonumber(meta[2] or 0), tonumber(meta[3] or 0)
local oldest, to = tonumber(meta[4] or first), tonumber(ARGV[1])
if to < first or to > last then return 0 end
-- All that came together up to there: which of them is the last, and how it is tagged.
local chunks, start, tagged, came = {}, oldest, nil, nil
-- bound: the lines there may be
while start <= to do
  local together = redis.call('HGET', hash, 'j' .. string.format('%.0f', start))
  if not together then return 0 end
  local tags, ids = lines({ hash }, { together })
  if #ids == 0 then return 0 end
  came = came or tonumber(string.sub(together, 9, 22))
  chunks[#chunks + 1] = { start, tags, ids }
  start = start + #ids
  tagged = tags[#tags - (start - 1 - to)]
end
if tagged ~= ARGV[2] then return 0 end
-- There is no field `w`, but a server whose memory is full lets a script go on that has begun with what needs none.
redis.call('HDEL', hash, 'w')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local removed = redis.call('HGET', hash, 'y')
local since, every = now, 0
if removed then
  since, every = tonumber(string.sub(removed, 9, 22)) or now, tonumber(string.sub(removed, 23)) or 0
end
-- For how long this has been under way: since lines went before, or since the first of these came.
if not removed or came > since then since = came end
local took = math.max(0, now - since)
if removed then took = math.floor((took + every) / 2) end
-- Of each row, in the order in which they come, the tag of the last line of those that go: what is left to write of it is there.
local gone, ids, tags = {}, {}, {}
local function sweep()
  if #ids > 0 then
    local rows = {}
    -- bound: CHUNK
    for i = 1, #ids do rows[i] = 's' .. ids[i] end
    local found = redis.call('HMGET', hash, unpack(rows))
    -- bound: CHUNK
    for i = 1, #rows do
      local row = found[i]
      if row and string.sub(row, 1, 8) == tags[ids[i]] then
        size = size - #row
        gone[#gone + 1] = rows[i]
      end
    end
  end
  if #gone > 0 then redis.call('HDEL', hash, unpack(gone)) end
  gone, ids, tags = {}, {}, {}
end
-- About as many lines as one call takes fields at a time.
local CHUNK = 1000
local count = 0
-- bound: the lines there may be
for i = 1, #chunks do
  local from, tagsOf, names = chunks[i][1], chunks[i][2], chunks[i][3]
  start = from + #names
  -- Of those that came together some may be gone, and some are to be written yet: they go at once, with the last of them.
  -- bound: the lines that one script accepts
  for n = math.max(first, from), math.min(to, start - 1) do
    local id = names[n - from + 1]
    if not tags[id] then ids[#ids + 1] = id end
    tags[id] = tagsOf[n - from + 1]
    size = size - 34 - #id
    count = count + 1
  end
  if start - 1 <= to then
    gone[#gone + 1] = 'j' .. string.format('%.0f', from)
  else
    start = from
  end
  if count >= CHUNK then
    sweep()
    count = 0
  end
end
sweep()
redis.call('HSET', hash, 'f', string.format('%.0f', to + 1), 'b', string.format('%.0f', size),
  'y', ARGV[3] .. string.format('%014.0f%.0f', now, took))
if start <= to then
  redis.call('HSET', hash, 'g', string.format('%.0f', start))
elseif meta[4] then
  redis.call('HDEL', hash, 'g')
end
return to - first + 1
