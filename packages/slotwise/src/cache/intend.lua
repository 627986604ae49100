-- Says before a write to the database that it comes: the stored bytes go, every load under way loses its right
-- to store, and no other gets one until the write is settled or its intent has ended. So a writer that dies
-- after its commit leaves no older value behind: the end of its intent is the invalidation.
--
-- Writes that overlap contest each other. The order of their commits is not the order of their calls, so none
-- of them may store; the entry stays empty until the last is settled.
--
-- @key entry
-- @arg token      fresh and random for each write
-- @arg intent_ms  how long the write may take and still be covered
-- @arg keep_ms    how long the present value is kept for those who allow invalidated ones; 0 for not at all
-- @return 1 if another write of this entry is under way, else 0
local intent, keep = 'w:' .. ARGV[1], tonumber(ARGV[3])
local value = keep > 0 and redis.call('HGET', KEYS[1], 'v')
local woken = redis.call('HGET', KEYS[1], 'n')

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local latest = now + tonumber(ARGV[2])
local contested = 0

-- What needs no memory comes first: behind it Redis refuses nothing at the limit. Then the intent, so that the hash is never
-- empty on the way: what is gone from a slot that is half moved cannot be written to by the script that removed it.
redis.call('HDEL', KEYS[1], intent)
redis.call('HSET', KEYS[1], intent, string.format('%.0f', latest))
if value then redis.call('HSET', KEYS[1], 'o', value) end
redis.call('HDEL', KEYS[1], 'v', 'l', 'd', 'x', 'n', 'r')

local fields = redis.call('HGETALL', KEYS[1])
-- bound: five fields more than there are writes of one entry at the same time
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent then
    local ends = tonumber(fields[i + 1])
    if ends > now then
      contested = 1
      latest = math.max(latest, ends)
    else
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
end

redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))
if contested == 1 then redis.call('HSET', KEYS[1], 'c', '1') end
local kept = 0
if redis.call('HEXISTS', KEYS[1], 'o') == 1 then
  kept = value and keep or redis.call('PTTL', KEYS[1])
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(latest - now, kept)))
if woken then redis.pcall('SPUBLISH', KEYS[1], '') end
return contested
