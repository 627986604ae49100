-- Makes the marker of a slot name nobody, unless it names the primary that the slot is about to leave. Such a marker is older than
-- that primary's reign, and of what was granted after it something may be missing there. Whoever it names would give locks at once if
-- the slot came back to it; where it names nobody, the next request begins a quarantine, as it would have here. The token stays.
-- What it is compared with is told, and not the server's own reign: of a slot that is half moved the marker may be at the target
-- already, and must not name that one either.
-- Harmless to repeat: what comes late, after other primaries have had the slot, costs a wait.
--
-- @key marker
-- @arg from  the reign that the slot is in
-- @arg run   of the process that has it, if that never was a replica: its reign may have been given another name; else empty
-- @return 1 it names nobody now | 0 it names that one, or nobody already, or no lock was ever taken there
local NOBODY = 'nobody'
local mark = redis.call('HMGET', KEYS[1], 'r', 'p')
if not mark[1] or mark[1] == NOBODY or mark[1] == ARGV[1] then return 0 end
if ARGV[2] ~= '' and mark[2] == ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'w')
redis.call('HSET', KEYS[1], 'r', NOBODY, 'p', NOBODY)
return 1
