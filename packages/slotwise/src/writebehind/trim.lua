-- Removes lines of a journal that are in the database, and the state of rows of which nothing is left to write.
--
-- Only what the caller has written: it says how the last of the lines is tagged, and after a failover the same number may be
-- another line. Lines before it are the same as it has read then, since each names the one before.
-- Harmless to repeat.
--
-- @key partition
-- @arg to     the number of the last line
-- @arg tag    its tag
-- @arg fresh  8 random bytes, by which others see that lines were removed
-- @return how many lines were removed
local hash = KEYS[1]
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
-- bound: the lines there may be
for number = first, to do
  local place = 'j' .. string.format('%.0f', number)
  local line = redis.call('HGET', hash, place)
  if line then
    local id = string.sub(line, 31)
    redis.call('HDEL', hash, place)
    size = size - 30 - #id
    if redis.call('HGET', hash, 'g' .. id) == string.sub(line, 1, 8) then
      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)
      redis.call('HDEL', hash, 's' .. id, 'n' .. id, 'g' .. id)
      size = size - #(row[1] or '') - #(row[2] or '')
    end
  end
end
redis.call('HSET', hash, 'f', string.format('%.0f', to + 1), 'b', string.format('%.0f', size),
  'y', ARGV[3] .. string.format('%014.0f%.0f', now, took))
return to - first + 1
