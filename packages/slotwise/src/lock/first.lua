-- Says whether a slot ever had a lock, as far as is known here, and notes that it has one now: the caller gives it. Another server than
-- that of the slot keeps it, so that not all is forgotten where one is started empty, or gets a slot without what was in it.
--
-- @key slots  a bit for each
-- @arg slot   which
-- @return 1 it had | 0 it had none
-- A server whose memory is full lets a script go on that has begun with what needs none.
redis.call('PERSIST', KEYS[1])
return redis.call('SETBIT', KEYS[1], ARGV[1], 1)
