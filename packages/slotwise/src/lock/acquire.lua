-- Takes the lock for `owner` if nobody holds it, with a fencing token above every earlier one.
--
-- The lock is one hash: o its owner, e when its time is over (server ms), f the last token given out. The token
-- is the larger of the last one plus one and the server's clock in microseconds, so it grows even when the hash
-- has expired, or a failover has lost it, as long as the servers' clocks differ by less than the time since.
-- Asking again with the same owner gives the same answer, so this is harmless to repeat.
-- Price: one round trip; a refusal writes nothing.
--
-- @key lock
-- @arg owner      fresh and random for each acquisition
-- @arg ttl_ms     how long it is held unless extended
-- @arg retain_ms  how long the token outlives the lock, for clocks that disagree
-- @return {1, token, ms} held | {0, token, ms} somebody else holds it for so long
local ttl = tonumber(ARGV[2])

-- The server's clock: callers' clocks disagree on when a lock is over.
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local now = seconds * 1000 + math.floor(micros / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f')
local ends, token = tonumber(saved[2]), tonumber(saved[3]) or 0
if saved[1] and ends > now then
  if saved[1] == ARGV[1] then return { 1, saved[3], ends - now } end
  return { 0, saved[3], ends - now }
end

token = math.max(token + 1, seconds * 1000000 + micros)
-- tostring would keep 14 of its 16 digits.
local text = string.format('%.0f', token)
-- There is no such field: a server whose memory is full lets a script go on that has begun with what needs none, and those
-- who make room may have to hold something for it.
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', string.format('%.0f', now + ttl), 'f', text)
redis.call('PEXPIRE', KEYS[1], ttl + tonumber(ARGV[3]))
return { 1, text, ttl }
