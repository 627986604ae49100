-- Whose time is over goes, and the first of the line have what they want kept for them as far as there is room: for a second, and
-- without a token. Writes nothing.
--
-- @arg holders  as acquire.lua says of o
-- @arg line     as it says of q
-- @arg permits  how many there are
-- @arg now      the server's clock, ms
-- @return holders; line; how many are used; when the first of them is over, and when the last, ms; who is to be told
local CLAIM_MS = 1000
local holders, line, permits, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
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
return held, line, used, soonest, latest, told
