-- Who holds entries of a cache, and how far what they serve may be behind.
--
-- @key readers
-- @return name and milliseconds of each, in turns
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local found = {}
local fields = redis.call('HGETALL', KEYS[1])
-- bound: two for each process that has served lately
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == 'e' and tonumber(fields[i + 1]) > now then
    local process = string.sub(fields[i], 2)
    found[#found + 1] = process
    found[#found + 1] = redis.call('HGET', KEYS[1], 'b' .. process)
  end
end
return found
