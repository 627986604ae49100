-- Tells who has the lock, or what came of the work that it was for. Writes nothing.
--
-- @key lock
-- @return {0} nobody | {1, token, ms, label} held for so long, unless it is extended | {2, token, ms, result} done, and kept for so long
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'b', 'v')
local left = (tonumber(saved[2]) or 0) - now
-- Without a token it is only kept for who is to have it.
if left <= 0 or not saved[3] then return { 0 } end
if saved[5] then return { 2, saved[3], left, saved[5] } end
return { 1, saved[3], left, saved[4] or '' }
