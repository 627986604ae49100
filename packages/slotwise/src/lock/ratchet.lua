-- Raises the token of a lock that `owner` holds to `token`, where the largest that a majority of independent nodes answered is
-- larger than this node's own: whoever is granted it here later gets a larger one. Never lowers it. Harmless to repeat.
--
-- @key lock
-- @key marker
-- @arg owner  as it was acquired with
-- @arg token  the largest of the majority
-- @return 1 it is at least that | 0 its time was over | -1 somebody else's, or nobody's
local token = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f')
if saved[1] ~= ARGV[1] or not saved[3] then return -1 end
if tonumber(saved[2]) <= now then return 0 end
-- A server whose memory is full lets a script go on that has begun with what needs none.
redis.call('HDEL', KEYS[1], 'w')
if tonumber(saved[3]) < token then redis.call('HSET', KEYS[1], 'f', ARGV[2]) end
if (tonumber(redis.call('HGET', KEYS[2], 'h')) or 0) < token then redis.call('HSET', KEYS[2], 'h', ARGV[2]) end
return 1
