-- Looks at an entry, and leaves a mark where there is none, by which a later `store` can tell that nothing has
-- happened in between. One mark serves all who look until something happens.
--
-- Not to be repeated with the same token, which would be a mark a second time.
--
-- @key entry
-- @arg token    fresh and random
-- @arg mark_ms  how long the mark is to hold
-- @return {0, bytes, ms} the value and how long it lives | {1, token} nothing, and the mark | {2} nothing, and nothing may be stored: a write is under way, or there is no memory for a mark
local saved = redis.call('HMGET', KEYS[1], 'v', 'x', 'r', 'm')
local lives = redis.call('PTTL', KEYS[1])
local left = lives - (tonumber(saved[2]) or 0)
if saved[1] and left > 0 then return {0, saved[1], left} end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local written = tonumber(saved[4])
if written and now < written then return {2} end

local mark = saved[3] or ARGV[1]
if not saved[3] then
  local reply = redis.pcall('HSET', KEYS[1], 'r', mark)
  -- No memory for a mark: a look it is all the same.
  if type(reply) == 'table' and reply.err then return {2} end
end
-- A value whose time is over must not come back by the key's living longer. After the mark, so that the hash is never empty.
if saved[1] then redis.call('HDEL', KEYS[1], 'v', 'x') end
if lives < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {1, mark}
