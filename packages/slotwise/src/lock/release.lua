-- Frees the lock if `owner` has it, and gives up its place in the line if it waits. The first of the line is told that it is its
-- turn; for a second it is kept for them. Harmless to repeat: the second time nothing is the owner's any more.
--
-- @key lock
-- @arg owner  as it was asked for with
-- @return 1 freed while it was held | 0 freed, but its time was over already | -1 somebody else's, or nobody's
-- include: put.part.lua
local CLAIM_MS = 1000
local RETAIN_MS = 60000
local saved = redis.call('GET', KEYS[1])
if not saved then return -1 end
local state, keeping = string.sub(saved, 52, 52), string.sub(saved, 53, 53)
local from = 58 + tonumber(string.sub(saved, 54, 57))
local line = string.sub(saved, from)
if string.sub(saved, 1, 22) ~= ARGV[1] or state ~= 'h' and state ~= 'c' then
  local found = nil
  if state ~= 'd' then found = string.find(line, ARGV[1], 1, true) end
  if found then
    line = string.sub(line, 1, found - 1) .. string.sub(line, found + 35)
    local time = redis.call('TIME')
    local left = tonumber(string.sub(saved, 23, 35)) - tonumber(time[1]) * 1000 - math.floor(tonumber(time[2]) / 1000)
    -- Somebody may have taken its expiry away: it is kept for as long as it says, all the same.
    put({ KEYS[1] }, { string.sub(saved, 1, from - 1) .. line, math.max(1, left, redis.call('PTTL', KEYS[1])) })
  end
  return -1
end

if state == 'h' and keeping == '0' then
  -- It would not be there any more if its time were over, and nobody waits.
  redis.call('DEL', KEYS[1])
  return 1
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local verdict = 0
if state == 'h' and tonumber(string.sub(saved, 23, 35)) > now then verdict = 1 end
-- bound: the places in the line
while line ~= '' and tonumber(string.sub(line, 23, 35)) <= now do line = string.sub(line, 36) end
if line ~= '' then
  local first = string.sub(line, 1, 22)
  line = string.sub(line, 36)
  local head = first .. string.format('%013.0f', now + CLAIM_MS) .. string.sub(saved, 36, 51) .. 'c' .. keeping
  put({ KEYS[1] }, { head .. '0000' .. line, math.max(CLAIM_MS, redis.call('PTTL', KEYS[1])) })
  -- Whoever may not publish lets them ask.
  redis.pcall('SPUBLISH', KEYS[1], first .. string.sub(line, 1, 22))
elseif keeping == '2' then
  local left = redis.call('PTTL', KEYS[1])
  if left < 1 then left = RETAIN_MS end
  put({ KEYS[1] }, { string.sub(saved, 1, 51) .. '-20000', left })
else
  redis.call('DEL', KEYS[1])
end
return verdict
