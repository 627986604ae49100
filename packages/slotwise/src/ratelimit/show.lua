-- Tells what is kept of a subject, as it is. Writes nothing.
--
-- @key state
-- @return now, milliseconds that the record lasts still, the record; empty where there is none
local saved = redis.call('GET', KEYS[1])
if not saved then return '' end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
return struct.pack('>dd', now, redis.call('PTTL', KEYS[1])) .. saved
