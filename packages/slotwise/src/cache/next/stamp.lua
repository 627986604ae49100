-- The version of a tag, for what is about to be stored, given to it now if it has none; and whether it has changed since
-- that was begun, as ages, so that no clock but this server's is read.
--
-- Fields as in seen.lua. Not to be repeated as it is: late, it would give a version again that has ended meanwhile.
--
-- @key tag
-- @arg fresh    a version that was never given
-- @arg since_ms how long ago it was begun, at most
-- @arg keep_ms  for how long the version is to be comparable, at least
-- @return {version, ms since everything ended or -1, ms since the last change or -1, version so long ago, the last change}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local saved = redis.call('HMGET', KEYS[1], 'v', 'c', 'h', 'i')
local version = saved[1]
local ended, changed = -1, -1

if not version then
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
  version = ARGV[1]
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if saved[3] then ended = math.max(0, now - tonumber(saved[3])) end
if saved[2] then changed = math.max(0, now - tonumber(saved[2])) end

local former = version
if changed >= 0 and changed <= tonumber(ARGV[2]) then
  local first = now + 1
  local fields = redis.call('HGETALL', KEYS[1])
  -- bound: soften.lua keeps at most 32 former versions
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 't:' then
      local at = tonumber(fields[i + 1])
      if at >= now - tonumber(ARGV[2]) and at < first then
        first = at
        former = string.sub(fields[i], 3)
      end
    end
  end
end
return {version, ended, changed, former, saved[4] or ''}
