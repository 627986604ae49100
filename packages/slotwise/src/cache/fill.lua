-- Stores what a load brought, if nothing has happened since it was granted: no invalidation, no write, no end
-- of its lease, no other load.
--
-- Harmless to repeat: a token that has stored is gone.
--
-- @key entry
-- @arg token   the token that was granted
-- @arg bytes   what to store
-- @arg ttl_ms  how long it may be served
-- @return 1 stored | 0 refused, nothing changed
local saved = redis.call('HMGET', KEYS[1], 'l', 'd', 'n')
if saved[1] ~= ARGV[1] then return 0 end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if now >= tonumber(saved[2]) then return 0 end

-- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
redis.call('HSET', KEYS[1], 'v', ARGV[2])
redis.call('HDEL', KEYS[1], 'l', 'd', 'x', 'o', 'n', 'r')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- Who misses it asks again by itself, so a user without the right to publish is no reason to fail.
if saved[3] then redis.pcall('SPUBLISH', KEYS[1], '') end
return 1
