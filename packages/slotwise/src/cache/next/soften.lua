-- Makes everything that bears the tag stale: it may be served for so much longer, while the next is made.
--
-- Fields as in seen.lua. Of former versions 32 are kept: what bears an older one has ended. Not to be repeated as it
-- is: late, it would give a version again that has ended meanwhile.
--
-- @key tag
-- @arg fresh    a version that was never given
-- @arg former   one more, for what was begun before the tag had any
-- @arg change   what is given to no other change
-- @arg stale_ms for how long what bears it may be served
-- @arg keep_ms  for how long it is remembered when that was, at least
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at, ends = string.format('%.0f', now), string.format('%.0f', now + tonumber(ARGV[4]))
local fields = redis.call('HGETALL', KEYS[1])
local version = redis.call('HGET', KEYS[1], 'v')
local count, oldest, since = 0, '', now + 1

-- bound: at most 32 former versions are kept
for i = 1, #fields, 2 do
  local kind, former = string.sub(fields[i], 1, 2), string.sub(fields[i], 3)
  if kind == 'g:' then
    if tonumber(fields[i + 1]) <= now then
      redis.call('HDEL', KEYS[1], 'g:' .. former, 't:' .. former)
    elseif tonumber(fields[i + 1]) > tonumber(ends) then
      -- What was made before an earlier change is no fresher than what was made before this one.
      redis.call('HSET', KEYS[1], 'g:' .. former, ends)
    end
  elseif kind == 't:' then
    count = count + 1
    if tonumber(fields[i + 1]) < since then
      since = tonumber(fields[i + 1])
      oldest = former
    end
  end
end
if count >= 32 then redis.call('HDEL', KEYS[1], 'g:' .. oldest, 't:' .. oldest) end
if not version then version = ARGV[2] end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'c', at, 'i', ARGV[3], 't:' .. version, at, 'g:' .. version, ends)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return 1
