-- The state of a row that waits to be written.
--
-- @key partition
-- @arg id  of the row
-- @return {state, names and values of its counters...}; the state is empty if nothing waits
local row = redis.call('HMGET', KEYS[1], 's' .. ARGV[1], 'n' .. ARGV[1])
local told = {row[1] or ''}
local names = row[2] or ''
local at = 1
-- bound: the names that fit
while at <= #names do
  local upTo = at + string.byte(names, at)
  told[#told + 1] = string.sub(names, at + 1, upTo)
  told[#told + 1] = redis.call('HGET', KEYS[1], 'c' .. string.sub(names, at, upTo) .. ARGV[1]) or ''
  at = upTo + 1
end
return told
