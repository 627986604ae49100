-- Forgets what came of the work, so that the next to ask does it again. Work that is under way goes on, and is stored. Harmless to
-- repeat.
--
-- @key lock
-- @return 1 forgotten | 0 nothing was stored
-- include: ../put.part.lua
local RETAIN_MS = 60000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('GET', KEYS[1])
if not saved or string.sub(saved, 52, 52) ~= 'd' then return 0 end
if string.sub(saved, 53, 53) == '2' then
  local left = redis.call('PTTL', KEYS[1])
  if left < 1 then left = RETAIN_MS end
  put({ KEYS[1] }, { string.sub(saved, 1, 51) .. '-20000', left })
else
  redis.call('DEL', KEYS[1])
end
if tonumber(string.sub(saved, 23, 35)) > now then return 1 end
return 0
