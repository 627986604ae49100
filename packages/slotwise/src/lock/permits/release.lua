-- Frees what `owner` holds, and gives up its place in the line if it waits. The first of the line for whom there is room now are
-- told that it is their turn; for a second it is kept for them. Harmless to repeat: the second time nothing is the owner's any
-- more.
--
-- @key lock
-- @arg owner  as it was asked for with
-- @return 1 freed while it was held | 0 freed, but its time was over already | -1 somebody else's, or nobody's
local CLAIM_MS = 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'q', 'p', 'h')
local holders, line = saved[1] or '', saved[2] or ''
local permits = tonumber(saved[3]) or 0
local verdict = -1
local mine = string.find(holders, ARGV[1], 1, true)
if mine then
  verdict = 0
  local token = string.sub(holders, mine + 35, mine + 50)
  if token ~= '0000000000000000' and tonumber(string.sub(holders, mine + 22, mine + 34)) > now then verdict = 1 end
  holders = string.sub(holders, 1, mine - 1) .. string.sub(holders, mine + 55)
else
  local place = string.find(line, ARGV[1], 1, true)
  if not place then return -1 end
  -- Those behind it may have waited for it only.
  line = string.sub(line, 1, place - 1) .. string.sub(line, place + 39)
end

-- Whose time is over goes, and the first of the line have what they want kept for them as far as there is room.
local held, used, soonest, latest, told, from = '', 0, 0, now, '', 1
-- bound: the permits
for at = 1, #holders, 55 do
  local ends = tonumber(string.sub(holders, at + 22, at + 34))
  if ends > now then
    used = used + tonumber(string.sub(holders, at + 51, at + 54))
    if soonest == 0 or ends < soonest then soonest = ends end
    latest = math.max(latest, ends)
  else
    held = held .. string.sub(holders, from, at - 1)
    from = at + 55
  end
end
held = held .. string.sub(holders, from)
-- bound: the places in the line
while line ~= '' do
  local wanted = string.sub(line, 36, 39)
  if tonumber(string.sub(line, 23, 35)) > now then
    if used > 0 and used + tonumber(wanted) > permits then break end
    local first = string.sub(line, 1, 22)
    local claim = string.sub('000000000000' .. string.format('%.0f', now + CLAIM_MS), -13)
    held = held .. first .. claim .. '0000000000000000' .. wanted
    used = used + tonumber(wanted)
    if soonest == 0 or now + CLAIM_MS < soonest then soonest = now + CLAIM_MS end
    latest = math.max(latest, now + CLAIM_MS)
    told = told .. first
  end
  line = string.sub(line, 40)
end

redis.call('HDEL', KEYS[1], 'b')
if held ~= '' or line ~= '' then
  redis.call('PEXPIRE', KEYS[1], math.max(latest - now, redis.call('PTTL', KEYS[1])))
  redis.call('HSET', KEYS[1], 'o', held, 'q', line, 'p', permits)
elseif saved[4] then
  -- The largest token, where no marker keeps it.
  redis.call('HDEL', KEYS[1], 'o', 'q', 'p')
else
  redis.call('DEL', KEYS[1])
end
-- Whoever may not publish lets them ask.
-- bound: those who were let in
for at = 1, #told, 22 do
  redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))
end
return verdict
