-- Takes one hit back, if there is one in the window that lasts.
--
-- After the window's end there is no key, and none is made: it would be one hit below nothing, and have no end.
-- Price: one round trip, one key.
--
-- @key hits
-- @return 1 taken back, 0 there was none
local hits = tonumber(redis.call('GET', KEYS[1]) or 0)
if hits < 1 then return 0 end
redis.call('DECR', KEYS[1])
return 1
