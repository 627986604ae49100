-- Says that a process holds entries of a cache and may serve what is so much behind, for as long as it goes on saying so.
-- Harmless to repeat. Of each process:
--   e<name>  until when it counts    b<name>  how far what it serves may be behind
--
-- @key readers
-- @arg process  its name
-- @arg behind_ms  how far what it serves may be behind
-- @arg for_ms  how long it counts; those whose time is over are removed
-- @return 1
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Before any is removed, so that the hash is never empty on the way: what is gone from a slot that is half moved cannot be
-- written to by the script that removed it.
redis.call('HSET', KEYS[1], 'e' .. ARGV[1], string.format('%.0f', now + tonumber(ARGV[3])), 'b' .. ARGV[1], ARGV[2])
local fields = redis.call('HGETALL', KEYS[1])
-- bound: two for each process that has served in the last for_ms
for i = 1, #fields, 2 do
  local process = string.sub(fields[i], 2)
  if string.sub(fields[i], 1, 1) == 'e' and process ~= ARGV[1] and tonumber(fields[i + 1]) <= now then
    redis.call('HDEL', KEYS[1], 'e' .. process, 'b' .. process)
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
