-- Gives the holder of permits `ttl_ms` from now on. Those whose time is over are never brought back: somebody else may have been
-- told that they are free. The end only moves later: a request that was given up, and is executed after others, takes nothing
-- away. But a clock that was set back leaves nobody more than the longest time.
--
-- @key lock
-- @arg owner       as they were acquired with
-- @arg ttl_ms      how long they are held from now on, at least
-- @arg longest_ms  and at most
-- @return 1 extended | 0 their time was over | -1 somebody else's, or nobody's
local RETAIN_MS = 60000
local ttl = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'h')
local held = saved[1] or ''
local mine = string.find(held, ARGV[1], 1, true)
-- Without a token they are only kept for who is to have them.
if not mine or string.sub(held, mine + 35, mine + 50) == '0000000000000000' then return -1 end
local before = tonumber(string.sub(held, mine + 22, mine + 34))
if before <= now then return 0 end
if saved[2] then ttl = ttl + RETAIN_MS end
local after = math.max(now + tonumber(ARGV[2]), math.min(before, now + tonumber(ARGV[3])))
local ends = string.sub('000000000000' .. string.format('%.0f', after), -13)
-- The others keep the record longer. Whoever holds something keeps it where the memory is full too: a server lets a script go on
-- that has begun with what needs none.
redis.call('PEXPIRE', KEYS[1], math.max(ttl, redis.call('PTTL', KEYS[1])))
redis.call('HSET', KEYS[1], 'o', string.sub(held, 1, mine + 21) .. ends .. string.sub(held, mine + 35))
return 1
