-- Stores a value that no load brought. Loads under way lose their right to store: what they read may be older.
-- Nothing is stored while a write is under way, which is contested by this: the order of the two is not known.
--
-- @key entry
-- @arg bytes   what to store
-- @arg ttl_ms  how long it may be served
-- @arg mode    any: whatever is there | version: over this version only | mark: only where nothing is, since the mark was left
-- @arg token   the version, 8 bytes, or the mark
-- @return 1 stored | 0 refused
local saved = redis.call('HMGET', KEYS[1], 'v', 'r', 'm', 'n')

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local written = tonumber(saved[3])
if written and now < written then
  if ARGV[3] == 'any' then redis.call('HSET', KEYS[1], 'c', '1') end
  return 0
end
if ARGV[3] == 'version' and string.sub(saved[1] or '', 6, 13) ~= ARGV[4] then return 0 end
if ARGV[3] == 'mark' and (saved[1] or saved[2] ~= ARGV[4]) then return 0 end

-- What needs memory comes first: behind another write Redis would not refuse it at the limit any more.
redis.call('HSET', KEYS[1], 'v', ARGV[1])
redis.call('HDEL', KEYS[1], 'l', 'd', 'x', 'o', 'n', 'r', 'm', 'c')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if saved[4] then redis.pcall('SPUBLISH', KEYS[1], '') end
return 1
