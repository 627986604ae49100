-- Asks for the right to load an entry and to store what was loaded.
--
-- An entry, the lease of the load that may fill it and the writes under way are fields of one hash, so that
-- nothing here needs a second key, which a half-moved slot would not serve:
--   v  the stored bytes            l  the token of the load that may store    d  when its lease ends
--   w:<token>  when a write's intent ends    m  the latest of those    c  writes have overlapped
-- The right is bound to a token that was never used before. Whatever removes the field l takes it away for
-- good, so a load that began before an invalidation cannot store after it.
-- Price: one round trip; a write only where the right is granted.
--
-- @key entry
-- @arg token     fresh and random for each load
-- @arg lease_ms  how long the load may take and still store
-- @arg replace   1 to load although bytes are there, because they could not be decoded; else 0
-- @return {0, bytes} stored meanwhile | {1, lease_ms} granted | {2, ms} another load may still store for that long | {3, ms} a write is under way and nothing may be stored for that long
local token, lease = ARGV[1], tonumber(ARGV[2])

local saved = redis.call('HMGET', KEYS[1], 'v', 'd', 'm')
if saved[1] and ARGV[3] == '0' then return {0, saved[1]} end

-- The server's clock, in ms: callers' clocks disagree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local deadline, written = tonumber(saved[2]), tonumber(saved[3])
if written and now < written then return {3, written - now} end
if deadline and now < deadline then return {2, deadline - now} end

-- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
redis.call('HSET', KEYS[1], 'l', token, 'd', string.format('%.0f', now + lease))
redis.call('HDEL', KEYS[1], 'v', 'm', 'c')
-- From its deadline on a lease means nothing, and nothing else is here.
redis.call('PEXPIRE', KEYS[1], lease)
return {1, lease}
