-- Gives back the right to store, so that the next reader loads at once instead of waiting for the lease to end.
-- For loads that failed. Harmless to repeat.
--
-- @key entry
-- @arg token  the token that was granted
-- @return 1 given back | 0 it was not held any more
if redis.call('HGET', KEYS[1], 'l') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
