-- Gives the holder `ttl_ms` from now on. A lock whose time is over is never brought back: somebody else may have
-- been told that it is free. The end only moves later: a request that was given up, and is executed after others, takes nothing
-- away. But a clock that was set back leaves nobody more than the longest time.
--
-- @key lock
-- @arg owner       as it was acquired with
-- @arg ttl_ms      how long it is held from now on, at least
-- @arg longest_ms  and at most
-- @return 1 extended | 0 its time was over | -1 somebody else's, or nobody's
local RETAIN_MS = 60000
local ttl = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'h')
-- Without a token it is only kept for who is to have it.
if saved[1] ~= ARGV[1] or not saved[3] then return -1 end
if tonumber(saved[2]) <= now then return 0 end
if saved[4] then ttl = ttl + RETAIN_MS end
-- Those who wait keep the record longer. Whoever has it keeps it where the memory is full too: a server lets a script go on that
-- has begun with what needs none.
redis.call('PEXPIRE', KEYS[1], math.max(ttl, redis.call('PTTL', KEYS[1])))
local ends = math.max(now + tonumber(ARGV[2]), math.min(tonumber(saved[2]), now + tonumber(ARGV[3])))
redis.call('HSET', KEYS[1], 'e', string.format('%.0f', ends))
return 1
