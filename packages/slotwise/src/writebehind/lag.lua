-- How much of a journal waits, and since when.
--
-- @key partition
-- @return {number of the first line, number of the last, bytes, milliseconds since the first of them came; 0 if none waits}
local meta = redis.call('HMGET', KEYS[1], 'f', 'l', 'b', 'g')
local first, last = tonumber(meta[1] or 1), tonumber(meta[2] or 0)
local line = redis.call('HGET', KEYS[1], 'j' .. (meta[4] or string.format('%.0f', first)))
local time = redis.call('TIME')
local age = 0
if line and first <= last then
  age = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(string.sub(line, 9, 22))
end
return {first, last, tonumber(meta[3] or 0), math.max(0, age)}
