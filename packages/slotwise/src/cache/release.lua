-- Gives back the right to store, so that the next reader loads at once instead of waiting for the lease to end.
-- For loads that failed. Where an older value is being served meanwhile, nobody tries again for a while.
-- Harmless to repeat.
--
-- @key entry
-- @arg token    the token that was granted
-- @arg hold_ms  for how long nobody is to load while an older value is there
-- @return 1 given back | 0 it was not held any more
local saved = redis.call('HMGET', KEYS[1], 'l', 'v', 'o', 'r', 'n', 'x')
if saved[1] ~= ARGV[1] then return 0 end

if not (saved[2] or saved[3] or saved[4]) then
  redis.call('DEL', KEYS[1])
else
  local lives = redis.call('PTTL', KEYS[1])
  local left = lives - (tonumber(saved[6]) or 0)
  redis.call('HDEL', KEYS[1], 'l', 'd', 'n')
  if saved[2] and left <= 0 then
    redis.call('HDEL', KEYS[1], 'v', 'x')
  elseif saved[2] then
    redis.call('HDEL', KEYS[1], 'x')
    redis.call('PEXPIRE', KEYS[1], left)
    local hold = tonumber(ARGV[2])
    if hold > 0 then
      local time = redis.call('TIME')
      local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
      -- A deadline without a token: nobody can store under it.
      redis.call('HSET', KEYS[1], 'd', string.format('%.0f', now + math.min(hold, left)))
    end
  end
end
if saved[5] then redis.pcall('SPUBLISH', KEYS[1], '') end
return 1
