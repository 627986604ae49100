-- What time it is for the server that has an entry, or would have it: a command without a key does not notice that its slot
-- has moved.
--
-- @key entry
-- @return {ms since 1970, 1 if it is there}
local time = redis.call('TIME')
return {tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), redis.call('EXISTS', KEYS[1])}
