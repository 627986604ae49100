-- Sets or removes a value unless a newer holder's token was seen. The token stays where the value goes, for as long as both are kept.
-- Repeating it changes nothing. Price: one round trip; a refusal writes nothing.
--
-- @key value    a hash: t the largest token, v the value
-- @arg token    of the holder
-- @arg content  what is to be there
-- @arg removes  1 if nothing is to be there
-- @arg keep_ms  how long both are kept from now on
-- @return the largest token seen, which is the holder's own if it was done
local seen = redis.call('HGET', KEYS[1], 't')
if seen and tonumber(seen) > tonumber(ARGV[1]) then return seen end
if ARGV[3] == '1' then redis.call('HDEL', KEYS[1], 'v') end
redis.call('HSET', KEYS[1], 't', ARGV[1])
if ARGV[3] ~= '1' then redis.call('HSET', KEYS[1], 'v', ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return ARGV[1]
