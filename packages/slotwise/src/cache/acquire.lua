-- Asks for the right to load an entry and to store what was loaded.
--
-- An entry, the lease of the load that may fill it and the writes under way are fields of one hash, so that
-- nothing here needs a second key, which a half-moved slot would not serve:
--   v  the stored bytes            l  the token of the load that may store    d  when its lease ends
--   x  by how much the key outlives v    o  a value that was invalidated      n  somebody waits to be woken
--   r  the token of those who have seen that there is no entry
--   w:<token>  when a write's intent ends    m  the latest of those    c  writes have overlapped
-- The right is bound to a token that was never used before. Whatever removes the field l takes it away for
-- good, so a load that began before an invalidation cannot store after it.
-- Price: one round trip; a write only where the right is granted, or where somebody wants to be woken.
--
-- @key entry
-- @arg token     fresh and random for each load
-- @arg lease_ms  how long the load may take and still store
-- @arg seen      version of the bytes that are to be replaced, 8 bytes; empty for none
-- @arg wake      1 to be woken by a message on the channel named as the entry when the lease ends; else 0
-- @return {0, bytes, ms} stored meanwhile, and how long it lives | {1, lease_ms} granted | {2, ms} another load may still store for that long | {3, ms} a write is under way and nothing may be stored for that long
local token, lease = ARGV[1], tonumber(ARGV[2])

local saved = redis.call('HMGET', KEYS[1], 'v', 'd', 'm', 'x')
local lives = redis.call('PTTL', KEYS[1])
local left = lives - (tonumber(saved[4]) or 0)
local usable = saved[1] and left > 0
-- Bytes 6 to 13 of what is stored are its version: see entry.ts.
if usable and string.sub(saved[1], 6, 13) ~= ARGV[3] then return {0, saved[1], left} end

-- The server's clock, in ms: callers' clocks disagree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local deadline, written = tonumber(saved[2]), tonumber(saved[3])
if written and now < written then return {3, written - now} end
if deadline and now < deadline then
  if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'n', '1') end
  return {2, deadline - now}
end

-- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
redis.call('HSET', KEYS[1], 'l', token, 'd', string.format('%.0f', now + lease))
redis.call('HDEL', KEYS[1], 'm', 'c', 'n')
if usable then
  -- It goes on being served meanwhile, and must not live longer for it.
  if lives < lease then
    redis.call('HSET', KEYS[1], 'x', string.format('%.0f', lease - left))
    redis.call('PEXPIRE', KEYS[1], lease)
  end
else
  redis.call('HDEL', KEYS[1], 'v', 'x')
  redis.call('PEXPIRE', KEYS[1], math.max(lease, lives))
end
return {1, lease}
