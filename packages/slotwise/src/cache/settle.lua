-- Ends a write. Its value is stored if the write was alone from its intent until now; else the entry is
-- emptied, and loads under way lose their right to store. The intents of other writes stay, and stay contested.
--
-- Harmless to repeat: at worst the entry is emptied once more.
--
-- @key entry
-- @arg token   the token of the intent
-- @arg store   1 to store, 0 for a write that failed or whose value cannot be stored
-- @arg bytes   what to store
-- @arg ttl_ms  how long it may be served
-- @return 1 stored | 0 emptied
local intent = 'w:' .. ARGV[1]
local saved = redis.call('HMGET', KEYS[1], intent, 'c')

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local ends = tonumber(saved[1])
if ARGV[2] == '1' and ends and now < ends and not saved[2] then
  -- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
  redis.call('HSET', KEYS[1], 'v', ARGV[3])
  redis.call('HDEL', KEYS[1], intent, 'm')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return 1
end

redis.call('HDEL', KEYS[1], intent)
local latest = 0
local fields = redis.call('HGETALL', KEYS[1])
-- bound: two fields more than there are writes of one entry at the same time
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' then latest = math.max(latest, tonumber(fields[i + 1])) end
end
if latest <= now then
  redis.call('DEL', KEYS[1])
else
  -- This write may have been committed after one that is still under way. Where an intent stands there is
  -- neither a value nor a lease to remove.
  redis.call('HSET', KEYS[1], 'c', '1', 'm', string.format('%.0f', latest))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))
end
return 0
