-- Forgets what came of the work, so that the next to ask does it again. Work that is under way goes on, and is stored. Harmless to
-- repeat.
--
-- @key lock
-- @return 1 forgotten | 0 nothing was stored
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'v', 'e', 'h')
if not saved[1] then return 0 end
if saved[3] then
  -- The largest token, where no marker keeps it.
  redis.call('HDEL', KEYS[1], 'v', 'd', 'e', 'f')
else
  redis.call('DEL', KEYS[1])
end
if tonumber(saved[2]) > now then return 1 end
return 0
