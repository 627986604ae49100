-- Tells whether an entry is still the one that was read, and sends what is there only if not.
--
-- @key entry
-- @arg version  of what was read, 8 bytes
-- @return {1, ms} it is, and lives for so long | {0, bytes, x, ms} something else, or nothing: fields v and x, and how long the key lives
local saved = redis.call('HMGET', KEYS[1], 'v', 'x')
local lives = redis.call('PTTL', KEYS[1])
-- Bytes 6 to 13 of what is stored are its version: see entry.ts.
if saved[1] and string.sub(saved[1], 6, 13) == ARGV[1] then return {1, lives - (tonumber(saved[2]) or 0)} end
return {0, saved[1], saved[2], lives}
