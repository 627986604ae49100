-- Gives the holder `ttl_ms` from now on. A lock whose time is over is never brought back: somebody else may have
-- been told that it is free. The end only moves later: a request that was given up, and is executed after others, takes nothing
-- away. But a clock that was set back leaves nobody more than the longest time.
--
-- @key lock
-- @arg owner       as it was acquired with
-- @arg ttl_ms      how long it is held from now on, at least
-- @arg longest_ms  and at most
-- @return 1 extended | 0 its time was over | -1 somebody else's, or nobody's
-- include: put.part.lua
local RETAIN_MS = 60000
local saved = redis.call('GET', KEYS[1])
-- Kept for somebody it is nobody's yet.
if not saved or string.sub(saved, 1, 22) ~= ARGV[1] or string.sub(saved, 52, 52) ~= 'h' then return -1 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local before = tonumber(string.sub(saved, 23, 35))
if before <= now then return 0 end

local ends = math.max(now + tonumber(ARGV[2]), math.min(before, now + tonumber(ARGV[3])))
local keeping = string.sub(saved, 53, 53)
local keep = ends - now
if keeping == '2' then keep = keep + RETAIN_MS end
-- Those who wait keep the record longer, and so does a clock that was set back.
if keeping ~= '0' or ends < before then keep = math.max(keep, redis.call('PTTL', KEYS[1])) end
put({ KEYS[1] }, { string.sub(saved, 1, 22) .. string.format('%013.0f', ends) .. string.sub(saved, 36), keep })
return 1
