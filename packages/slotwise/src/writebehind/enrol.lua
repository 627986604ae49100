-- Counts a process among those that flush, for so long; or, for 0 ms, takes it out. Who has not come again is not counted.
-- Harmless to repeat.
--
-- @key members
-- @arg id   of the process, random
-- @arg for_ms  how long it counts
-- @return how many there are
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Before others are removed: a key that would be gone in between cannot be written again while its slot moves.
if ARGV[2] ~= '0' then
  -- A server whose memory is full lets a script go on that has begun with what needs none: who makes room has to be counted.
  -- There is no process of that name.
  redis.call('HDEL', KEYS[1], 'w')
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])))
end
local count = 0
local gone = {}
local members = redis.call('HGETALL', KEYS[1])
-- bound: two for each process
for i = 1, #members, 2 do
  if tonumber(members[i + 1]) <= now or (ARGV[2] == '0' and members[i] == ARGV[1]) then
    gone[#gone + 1] = members[i]
  else
    count = count + 1
  end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
return count
