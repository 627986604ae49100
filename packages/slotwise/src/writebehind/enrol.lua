-- Counts a process among those that flush, for so long; or, for 0 ms, takes it out. Who has not come again is not counted.
-- Harmless to repeat.
--
-- @key members
-- @arg id   of the process, random
-- @arg for_ms  how long it counts
-- @return how many there are
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local count = 0
local members = redis.call('HGETALL', KEYS[1])
-- bound: two for each process
for i = 1, #members, 2 do
  if members[i] ~= ARGV[1] then
    if tonumber(members[i + 1]) > now then count = count + 1 else redis.call('HDEL', KEYS[1], members[i]) end
  end
end
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return count
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])))
return count + 1
