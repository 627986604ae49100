-- Frees the lock if `owner` has it. Its token stays, so that the next one is larger. Harmless to repeat: the
-- second time nothing is the owner's any more.
--
-- @key lock
-- @arg owner  as it was acquired with
-- @return 1 freed while it was held | 0 freed, but its time was over already | -1 somebody else's, or nobody's
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e')
if saved[1] ~= ARGV[1] then return -1 end
redis.call('HDEL', KEYS[1], 'o', 'e')
if tonumber(saved[2]) > now then return 1 end
return 0
