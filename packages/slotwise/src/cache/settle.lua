-- Ends a write. Its value is stored if the write was alone from its intent until now; else the entry is
-- emptied, and loads under way lose their right to store. The intents of other writes stay, and stay contested.
--
-- Harmless to repeat: at worst the entry is emptied once more.
--
-- @key entry
-- @arg token      the token of the intent
-- @arg store      1 to store, 0 for a write that failed or whose value cannot be stored
-- @arg bytes      what to store
-- @arg ttl_ms     how long it may be served
-- @arg linger_ms  how long nothing may be stored yet, for replicas of the database that have not heard of the write
-- @arg keep_ms    how long an invalidated value is kept for those who allow one; 0 for not at all
-- @return 1 stored | 0 emptied
local intent, linger, keep = 'w:' .. ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
local saved = redis.call('HMGET', KEYS[1], intent, 'c', 'v', 'n')

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local ends = tonumber(saved[1])
if ARGV[2] == '1' and ends and now < ends and not saved[2] then
  -- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
  redis.call('HSET', KEYS[1], 'v', ARGV[3])
  redis.call('HDEL', KEYS[1], intent, 'm', 'o', 'r')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return 1
end

-- The intent had ended: somebody may have stored, or be about to, what they read before this write.
if saved[3] and keep > 0 then redis.call('HSET', KEYS[1], 'o', saved[3]) end
if linger > 0 then
  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))
else
  redis.call('HDEL', KEYS[1], intent)
end
local latest, others, kept = 0, false, false
local fields = redis.call('HGETALL', KEYS[1])
-- bound: five fields more than there are writes of one entry at the same time
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' then
    local until_ = tonumber(fields[i + 1])
    latest = math.max(latest, until_)
    if fields[i] ~= intent and until_ > now then others = true end
  elseif fields[i] == 'o' then
    kept = true
  end
end
local lives = math.max(latest - now, 0)
if kept then lives = math.max(lives, saved[3] and keep or redis.call('PTTL', KEYS[1])) end
if lives == 0 then
  redis.call('DEL', KEYS[1])
else
  -- This write may have been committed after one that is still under way.
  redis.call('HDEL', KEYS[1], 'v', 'l', 'd', 'x', 'n', 'r')
  if latest > now then redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest)) else redis.call('HDEL', KEYS[1], 'm', 'c') end
  if others then redis.call('HSET', KEYS[1], 'c', '1') end
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lives))
end
if saved[4] then redis.pcall('SPUBLISH', KEYS[1], '') end
return 0
