-- Tells the marker of a slot that the primary which has it now knows of all grants that the one before knew of: the slot came
-- to it without a loss. What the one before may have forgotten stays so, and a quarantine that has begun goes on. So does the epoch
-- of sentinels: a failover of theirs is not without a loss.
-- Harmless to repeat where it is told which reign that is: yet another may have it by then, and not know of what was granted since.
--
-- @key marker
-- @arg from  the reign that the slot was in before
-- @arg run   of the process that had it, if that never was a replica: its reign may have been given another name; else empty
-- @arg to    the reign that it came to; empty for whichever has it
-- @return 1 renewed | 0 there is nothing to renew: no lock was ever taken there, its last one in another reign, or it has gone on
local mark = redis.call('HMGET', KEYS[1], 'r', 'p')
if not mark[1] or mark[1] ~= ARGV[1] and mark[2] ~= ARGV[2] then return 0 end
local replication = redis.call('INFO', 'replication')
local at = string.find(replication, 'master_replid:', 1, true)
local reign = string.sub(replication, at + 14, at + 53)
if ARGV[3] ~= '' and ARGV[3] ~= reign then return 0 end
local server = redis.call('INFO', 'server')
at = string.find(server, 'run_id:', 1, true)
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'r', reign, 'p', string.sub(server, at + 7, at + 46))
return 1
