-- Writes who holds some and who waits, and tells those whose turn it is. A server whose memory is full lets it through where the
-- script has begun with what needs none.
--
-- @key lock
-- @arg holders  as acquire.lua says of o
-- @arg line     as it says of q
-- @arg permits  how many there are
-- @arg keep_ms  how long the record is kept
-- @arg told     who is to be told
-- @return nothing
local line, told = ARGV[2], ARGV[5]
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'q', line, 'p', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
-- Whoever may not publish lets them ask.
-- bound: those who were let in
for at = 1, #told, 22 do
  redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))
end
