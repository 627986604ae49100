-- The version of a tag, given to it now if it has none, so that what is loaded after this can carry it.
--
-- A version is random and never given twice, so equal versions mean that nothing has changed; a tag that is not
-- there has changed. A change under way is a field of its own until it is over:
--   v  the version    w:<token>  when a change's intent ends    m  the latest of those
-- Not to be repeated with the same `fresh`: after a change that would be given a second time.
--
-- @key tag
-- @arg fresh    8 random bytes
-- @arg keep_ms  for how long it is to be comparable, at least; at most twice as long
-- @return the version, 8 bytes | nil: a change is under way, and nothing loaded now can be told from what was before
local saved = redis.call('HMGET', KEYS[1], 'v', 'm')
local version = saved[1]

if saved[2] then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  if now < tonumber(saved[2]) then return false end
  -- Whoever was changing it has died: the end of the intent is the change.
  version = false
end

-- A failed write, for want of memory, is the caller's error: nothing may be stored without a version.
if not version then redis.call('HSET', KEYS[1], 'v', ARGV[1]) end
if saved[2] then
  -- Only now, so that the hash is never empty on the way: what is gone from a slot that is half moved cannot be written to by
  -- the script that removed it.
  local fields = redis.call('HKEYS', KEYS[1])
  -- bound: two fields more than there were changes of one tag at the same time
  for i = 1, #fields do
    if fields[i] ~= 'v' then redis.call('HDEL', KEYS[1], fields[i]) end
  end
end
-- Twice as long as asked for, so that most looks write nothing: whoever tracks the tag is told of a longer life too.
local keep = tonumber(ARGV[2])
if redis.call('PTTL', KEYS[1]) < keep then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * keep)) end
return version or ARGV[1]
