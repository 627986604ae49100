-- What was appended to a log since the entry that was read last.
--
-- @key log
-- @arg after  the number of that entry; 0 for none, -1 to begin at the end
-- @arg tag    its tag; empty for none
-- @arg most   how many entries at most
-- @return {number, tag, entries...} what was read last now, and what came before it | {number, tag} beginning, or nothing new | {-1} that entry is not there any more: what came since is not known
local after = tonumber(ARGV[1])
local last = tonumber(redis.call('HGET', KEYS[1], 'n') or 0)

if after < 0 then
  return {last, redis.call('HGET', KEYS[1], 't' .. string.format('%.0f', last)) or ''}
end
local tag = after == 0 and '' or redis.call('HGET', KEYS[1], 't' .. string.format('%.0f', after))
if tag ~= ARGV[2] or after > last then return {-1} end

local reply = {after, ARGV[2]}
-- bound: most
for number = after + 1, math.min(last, after + tonumber(ARGV[3])) do
  local field = string.format('%.0f', number)
  local found = redis.call('HMGET', KEYS[1], 'e' .. field, 't' .. field)
  if not found[1] then return {-1} end
  reply[1] = number
  reply[2] = found[2]
  reply[#reply + 1] = found[1]
end
return reply
