-- Stores what came of the work for which `owner` has the lock, for everybody who asks until `keep_ms` are over, and frees the lock.
-- Whose time is over stores nothing: somebody else may have begun. All who wait are told. Harmless to repeat.
--
-- @key lock
-- @arg owner    as the lock was acquired with
-- @arg result   as text
-- @arg keep_ms  how long it is kept
-- @return 1 stored | 0 its time was over | -1 somebody else's, or nobody's
-- include: ../put.part.lua
local RETAIN_MS = 60000
local keep = tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('GET', KEYS[1])
if not saved or string.sub(saved, 1, 22) ~= ARGV[1] then return -1 end
local state, keeping = string.sub(saved, 52, 52), string.sub(saved, 53, 53)
if state == 'd' then return 1 end
if state ~= 'h' then return -1 end
if tonumber(string.sub(saved, 23, 35)) <= now then return 0 end
local record = ARGV[1] .. string.format('%013.0f', now + keep) .. string.sub(saved, 36, 51) .. 'd' .. keeping .. '0000' .. ARGV[2]
if keeping == '2' then keep = keep + RETAIN_MS end
put({ KEYS[1] }, { record, keep })
-- Whoever may not publish lets them ask.
redis.pcall('SPUBLISH', KEYS[1], '*')
return 1
