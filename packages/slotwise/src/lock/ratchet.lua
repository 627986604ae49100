-- Raises the token of a lock that `owner` holds to `token`, where the largest that a majority of independent nodes answered is
-- larger than this node's own: whoever is granted it here later gets a larger one. Never lowers it. Harmless to repeat.
--
-- @key lock
-- @key marker
-- @arg owner  as it was acquired with
-- @arg token  the largest of the majority
-- @return 1 it is at least that | 0 its time was over | -1 somebody else's, or nobody's
-- include: put.part.lua
local token = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('GET', KEYS[1])
if not saved or string.sub(saved, 1, 22) ~= ARGV[1] or string.sub(saved, 52, 52) ~= 'h' then return -1 end
local left = tonumber(string.sub(saved, 23, 35)) - now
if left <= 0 then return 0 end
if tonumber(string.sub(saved, 36, 51)) < token then
  local record = string.sub(saved, 1, 35) .. string.format('%016.0f', token) .. string.sub(saved, 52)
  put({ KEYS[1] }, { record, math.max(left, redis.call('PTTL', KEYS[1])) })
end
if KEYS[1] == KEYS[2] then return 1 end
-- A server whose memory is full lets a script go on that has begun with what needs none.
redis.call('HDEL', KEYS[2], 'w')
if (tonumber(redis.call('HGET', KEYS[2], 'h')) or 0) < token then redis.call('HSET', KEYS[2], 'h', ARGV[2]) end
return 1
