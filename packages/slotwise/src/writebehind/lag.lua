-- How much of a journal waits, and since when.
--
-- @key partition
-- @return {lines, bytes, milliseconds since the first of them came; 0 if none waits}
local meta = redis.call('HMGET', KEYS[1], 'f', 'l', 'b')
local first, last = tonumber(meta[1] or 1), tonumber(meta[2] or 0)
local line = redis.call('HGET', KEYS[1], 'j' .. string.format('%.0f', first))
local time = redis.call('TIME')
local age = 0
if line then
  age = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(string.sub(line, 17, 30))
end
return {last - first + 1, tonumber(meta[3] or 0), math.max(0, age)}
