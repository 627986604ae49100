-- Stores what came of the work for which `owner` has the lock, for everybody who asks until `keep_ms` are over, and frees the lock.
-- Whose time is over stores nothing: somebody else may have begun. All who wait are told. Harmless to repeat.
--
-- @key lock
-- @arg owner    as the lock was acquired with
-- @arg result   as text
-- @arg keep_ms  how long it is kept
-- @return 1 stored | 0 its time was over | -1 somebody else's, or nobody's
local RETAIN_MS = 60000
local keep = tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'd', 'h')
if saved[4] == ARGV[1] then return 1 end
if saved[1] ~= ARGV[1] or not saved[3] then return -1 end
if tonumber(saved[2]) <= now then return 0 end
redis.call('HDEL', KEYS[1], 'o', 'b', 'q')
redis.call('HSET', KEYS[1], 'd', ARGV[1], 'v', ARGV[2], 'e', string.format('%.0f', now + keep))
if saved[5] then keep = keep + RETAIN_MS end
redis.call('PEXPIRE', KEYS[1], keep)
-- Whoever may not publish lets them ask.
redis.pcall('SPUBLISH', KEYS[1], '*')
return 1
