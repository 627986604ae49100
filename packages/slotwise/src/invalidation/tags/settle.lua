-- Ends a change: the tag changes once more, for what was stored under it if the intent had ended before. The intents
-- of other changes stay.
--
-- Harmless to repeat.
--
-- @key tag
-- @arg token      the token of the intent
-- @arg linger_ms  how long it has no version yet, for replicas of the database that have not heard of the change
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local intent, linger = 'w:' .. ARGV[1], tonumber(ARGV[2])

local latest = 0
if linger > 0 then latest = now + linger end
local fields = redis.call('HGETALL', KEYS[1])
-- bound: two fields more than there are changes of one tag at the same time
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent then
    local ends = tonumber(fields[i + 1])
    if ends > now then latest = math.max(latest, ends) end
  end
end
if latest == 0 then
  redis.call('DEL', KEYS[1])
  return 1
end

-- An intent stays, this or another, so that the hash is never empty on the way: what is gone from a slot that is half moved
-- cannot be written to by the script that removed it.
if linger > 0 then
  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))
else
  redis.call('HDEL', KEYS[1], intent)
end
redis.call('HDEL', KEYS[1], 'v')
-- bound: as above
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent and tonumber(fields[i + 1]) <= now then
    redis.call('HDEL', KEYS[1], fields[i])
  end
end
redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))
return 1
