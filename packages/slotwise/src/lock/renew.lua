-- Tells the marker of a slot that the server which has it now knows of all grants that the server before knew of: the slot came
-- to it without a loss. What the server before may have forgotten stays so, and a quarantine that has begun goes on.
-- Harmless to repeat.
--
-- @key marker
-- @arg from  the run of the server that had the slot before
-- @return 1 renewed | 0 there is nothing to renew: no lock was ever taken there, or its last one from another server
if redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end
local server = redis.call('INFO', 'server')
local at = string.find(server, 'run_id:', 1, true)
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'r', string.sub(server, at + 7, at + 46))
return 1
