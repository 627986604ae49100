-- Tells who has the lock, or what came of the work that it was for. Writes nothing.
--
-- @key lock
-- @return {0} nobody | {1, token, ms, label} held for so long, unless it is extended | {2, token, ms, result} done, and kept for so long
local saved = redis.call('GET', KEYS[1])
if not saved then return { 0 } end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(string.sub(saved, 23, 35)) - now
local token, state = string.sub(saved, 36, 51), string.sub(saved, 52, 52)
-- Kept for somebody it is nobody's yet.
if left <= 0 or state ~= 'h' and state ~= 'd' then return { 0 } end
local from = 58 + tonumber(string.sub(saved, 54, 57))
if state == 'd' then return { 2, token, left, string.sub(saved, from) } end
return { 1, token, left, string.sub(saved, 58, from - 1) }
