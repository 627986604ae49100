-- Tells the hits of a window, and how much of it is left.
--
-- Price: one round trip, one key.
--
-- @key hits
-- @return {hits, milliseconds until the window ends}; {0, 0} where there is none
local hits = redis.call('GET', KEYS[1])
if not hits then return { 0, 0 } end
return { tonumber(hits), math.max(0, redis.call('PTTL', KEYS[1])) }
