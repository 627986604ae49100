-- Tells the marker of a slot that the server which has it now knows of all grants that the server before knew of: the slot came
-- to it without a loss. What the server before may have forgotten stays so, and a quarantine that has begun goes on.
-- Harmless to repeat where it is told which server that is: yet another may have it by then, and not know of what was granted since.
--
-- @key marker
-- @arg from  the run of the server that had the slot before
-- @arg to    the run of the server that it came to; empty for whichever has it
-- @return 1 renewed | 0 there is nothing to renew: no lock was ever taken there, its last one from another server, or it has gone on
if redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end
local server = redis.call('INFO', 'server')
local at = string.find(server, 'run_id:', 1, true)
local run = string.sub(server, at + 7, at + 46)
if ARGV[2] ~= '' and ARGV[2] ~= run then return 0 end
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'r', run)
return 1
