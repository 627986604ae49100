-- Frees the lock if `owner` has it, and gives up its place in the line if it waits. The first of the line is told that it is its
-- turn; for a second it is kept for them. Harmless to repeat: the second time nothing is the owner's any more.
--
-- @key lock
-- @arg owner  as it was asked for with
-- @return 1 freed while it was held | 0 freed, but its time was over already | -1 somebody else's, or nobody's
local CLAIM_MS = 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'q', 'h')
local line = saved[4] or ''
if saved[1] ~= ARGV[1] then
  local found = string.find(line, ARGV[1], 1, true)
  if found then
    line = string.sub(line, 1, found - 1) .. string.sub(line, found + 35)
    redis.call('HDEL', KEYS[1], 'q')
    if line ~= '' then redis.call('HSET', KEYS[1], 'q', line) end
  end
  return -1
end

local verdict = 0
if saved[3] and tonumber(saved[2]) > now then verdict = 1 end
-- bound: the places in the line
while line ~= '' and tonumber(string.sub(line, 23, 35)) <= now do line = string.sub(line, 36) end
if line ~= '' then
  local first = string.sub(line, 1, 22)
  line = string.sub(line, 36)
  redis.call('PEXPIRE', KEYS[1], math.max(CLAIM_MS, redis.call('PTTL', KEYS[1])))
  redis.call('HDEL', KEYS[1], 'f', 'b')
  redis.call('HSET', KEYS[1], 'o', first, 'e', string.format('%.0f', now + CLAIM_MS), 'q', line)
  -- Whoever may not publish lets them ask.
  redis.pcall('SPUBLISH', KEYS[1], first .. string.sub(line, 1, 22))
elseif saved[5] then
  -- The largest token, where no marker keeps it.
  redis.call('HDEL', KEYS[1], 'o', 'e', 'f', 'b', 'q')
else
  redis.call('DEL', KEYS[1])
end
return verdict
