-- Removes an entry, takes from every load under way its right to store, from every write its intent, and keeps the
-- value for those who allow invalidated ones. Where nobody does, DEL is all of it.
--
-- @key entry
-- @arg keep_ms  how long the value is kept
-- @return 1 something was there | 0 nothing
local saved = redis.call('HMGET', KEYS[1], 'v', 'n', 'o')
local value = saved[1] or saved[3]
local lives = saved[1] and tonumber(ARGV[1]) or redis.call('PTTL', KEYS[1])
local there = 1
if value and lives > 0 then
  -- What needs no memory comes first: behind it Redis refuses nothing at the limit. Not DEL: what is gone from a slot that is
  -- half moved cannot be written to by the script that removed it.
  redis.call('PEXPIRE', KEYS[1], lives)
  redis.call('HSET', KEYS[1], 'o', value)
  local fields = redis.call('HKEYS', KEYS[1])
  -- bound: eight fields more than there are writes of one entry at the same time
  for i = 1, #fields do
    if fields[i] ~= 'o' then redis.call('HDEL', KEYS[1], fields[i]) end
  end
else
  there = redis.call('DEL', KEYS[1])
end
if saved[2] then redis.pcall('SPUBLISH', KEYS[1], '') end
return there
