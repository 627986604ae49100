-- Changes how many permits there are of a resource that is in use. Nobody who holds some loses them; of those who wait as many
-- are told as there is room for. Harmless to repeat.
--
-- @key lock
-- @arg permits  how many there are from now on, up to 1000
-- @return 1 changed | 0 nobody uses the resource, so that the next to do so says how many there are
local CLAIM_MS = 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'q', 'p', 'h')
local holders, line = saved[1] or '', saved[2] or ''
local permits = tonumber(ARGV[1])

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

if held == '' and line == '' then return 0 end
redis.call('PEXPIRE', KEYS[1], math.max(latest - now, redis.call('PTTL', KEYS[1])))
redis.call('HSET', KEYS[1], 'o', held, 'q', line, 'p', permits)
-- Whoever may not publish lets them ask.
-- bound: those who were let in
for at = 1, #told, 22 do
  redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))
end
return 1
