-- Reads an entry and removes it in the same step, so that of several who ask one has it.
--
-- Everything goes that the key holds, also the right of a load under way to store. Where there is no value, nothing
-- is touched.
--
-- @key entry
-- @return the stored bytes, or nil
local saved = redis.call('HMGET', KEYS[1], 'v', 'n')
if not saved[1] then return false end
redis.call('DEL', KEYS[1])
if saved[2] then redis.pcall('SPUBLISH', KEYS[1], '') end
return saved[1]
