-- Ends everything that bears the tag: it has no version, and no former one counts.
--
-- Fields as in seen.lua. Harmless to repeat.
--
-- @key tag
-- @arg change  what is given to no other change
-- @arg keep_ms for how long it is remembered when that was
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', now)

-- What needs no memory comes first: behind it Redis refuses nothing at the limit. Not DEL: what is gone from a slot that is
-- half moved cannot be written to by the script that removed it.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[1], 'c', at, 'h', at, 'i', ARGV[1])
local fields = redis.call('HKEYS', KEYS[1])
-- bound: soften.lua keeps at most 32 former versions
for i = 1, #fields do
  local field = fields[i]
  if field ~= 'c' and field ~= 'h' and field ~= 'i' then redis.call('HDEL', KEYS[1], field) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
