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

if linger > 0 then
  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))
else
  redis.call('HDEL', KEYS[1], intent)
end
redis.call('HDEL', KEYS[1], 'v')

local latest = 0
local fields = redis.call('HGETALL', KEYS[1])
-- bound: one field more than there are changes of one tag at the same time
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' then
    local ends = tonumber(fields[i + 1])
    if ends > now then latest = math.max(latest, ends) else redis.call('HDEL', KEYS[1], fields[i]) end
  end
end
if latest == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))
end
return 1
