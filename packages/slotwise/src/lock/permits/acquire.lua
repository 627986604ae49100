-- Takes `shares` of the permits of a resource for `owner`, with a fencing token above every earlier one of its slot.
--
-- The record is one hash: p how many permits there are, o who holds some, 55 characters each: owner, when its time is over
-- (server ms), token, shares; q those who wait, 39 characters each: owner, the server's time from which it waits no more, shares;
-- b what a holder of all says of itself. A token of zeros: kept for the first of the line, who is told and claims it by asking
-- again. Whoever is behind them waits, though there may be room for it: who wants many is not passed by those who want few.
-- The marker is that of locks, and so is what a server does that may have forgotten.
-- Asking again with the same owner gives the same answer, so this is harmless to repeat.
-- Price: one round trip; a refusal writes nothing but a place in the line.
--
-- @key lock
-- @key marker
-- @arg owner       22 characters, fresh and random for each acquisition
-- @arg ttl_ms      how long they are held unless extended
-- @arg longest_ms  how long anybody may hold something without extending it; 0 gives locks after a restart too
-- @arg least       least token, if the server's clock in microseconds is not to be it; 0 for none
-- @arg wait_ms     how long to stay in the line; 0 takes no place
-- @arg label       what to tell others of the holder of all; empty for nothing
-- @arg shares      how many, up to all
-- @arg permits     how many there are, up to 1000
-- @return {1, token, ms, now} held | {0, ms, place, label, now} too few for so long | {-2, ms, now} none for so long | {-3, permits} there is another number of them
local CLAIM_MS = 1000
local LONGEST_LINE = 39 * 1000
local RETAIN_MS = 60000
local owner, ttl, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local least, wait, shares = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])

-- The server's clock: callers' clocks disagree on when a lock is over.
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local now = seconds * 1000 + math.floor(micros / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'q', 'p', 'b')
local mark = redis.call('HMGET', KEYS[2], 'h', 'r', 's', 'm')
local holders, line = saved[1] or '', saved[2] or ''
local permits = tonumber(saved[3] or ARGV[8])

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

local mine = string.find(held, owner, 1, true)
if mine then
  local token = string.sub(held, mine + 35, mine + 50)
  if token ~= '0000000000000000' then
    return { 1, string.format('%.0f', tonumber(token)), tonumber(string.sub(held, mine + 22, mine + 34)) - now, now }
  end
end
if held == '' and line == '' then permits = tonumber(ARGV[8]) end
if permits ~= tonumber(ARGV[8]) then return { -3, permits } end

if longest > 0 then
  local known = tonumber(mark[4]) or 0
  longest = math.max(longest, known)
  local server = redis.call('INFO', 'server')
  local at = string.find(server, 'run_id:', 1, true)
  local run = string.sub(server, at + 7, at + 46)
  local since = tonumber(mark[3]) or 0
  local begins = mark[2] ~= run or since > now
  if begins then
    since = now
    -- The first lock of this slot, or all is forgotten: only a server that was up all the time, and never a replica, can tell.
    if not mark[2] then
      local up = string.find(server, 'uptime_in_seconds:', 1, true) + 18
      local uptime = tonumber(string.sub(server, up, string.find(server, '\r', up, true) - 1))
      local never = 'master_replid2:' .. string.rep('0', 40)
      if (uptime - 1) * 1000 > longest and string.find(redis.call('INFO', 'replication'), never, 1, true) then since = 0 end
    end
  end
  if begins or known < longest then
    redis.call('HDEL', KEYS[2], 'w')
    redis.call('HSET', KEYS[2], 'r', run, 's', string.format('%.0f', since), 'm', longest)
  end
  if since > 0 and since + longest > now then return { -2, since + longest - now, now } end
end

if not mine and (line ~= '' or used + shares > permits) then
  local place = 0
  if wait > 0 then
    local found = string.find(line, owner, 1, true)
    if found then
      place = (found + 38) / 39
    elseif #line < LONGEST_LINE then
      local leaves = string.sub('000000000000' .. string.format('%.0f', now + wait), -13)
      line = line .. owner .. leaves .. string.sub('000' .. ARGV[7], -4)
      place = #line / 39
    end
  end
  -- Only where it changed.
  if line ~= (saved[2] or '') then
    redis.call('HDEL', KEYS[1], 'w')
    redis.call('HSET', KEYS[1], 'o', held, 'q', line, 'p', permits)
    redis.call('PEXPIRE', KEYS[1], math.max(latest - now, wait, redis.call('PTTL', KEYS[1])))
    -- Whoever may not publish lets them ask.
    -- bound: those who were let in
    for at = 1, #told, 22 do
      redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))
    end
  end
  if shares > 1 then soonest = latest end
  return { 0, soonest - now, place, saved[4] or '', now }
end

local clock = seconds * 1000000 + micros
-- A proposal from a clock that is ahead must not carry the tokens away with it, further than clocks may be apart.
if least > 0 then
  local ahead = 2000000
  if longest > 0 then ahead = math.min(ahead, longest * 500) end
  clock = math.min(least, clock + ahead)
end
-- tostring would keep 14 of its 16 digits.
local token = string.format('%.0f', math.max((tonumber(mark[1]) or 0) + 1, clock))
if mine then held = string.sub(held, 1, mine - 1) .. string.sub(held, mine + 55) end
local ends = string.sub('000000000000' .. string.format('%.0f', now + ttl), -13)
held = held .. owner .. ends .. string.sub('000000000000000' .. token, -16) .. string.sub('000' .. ARGV[7], -4)
local keep = math.max(ttl, latest - now)
if line ~= '' then keep = math.max(keep, redis.call('PTTL', KEYS[1])) end
if KEYS[1] == KEYS[2] then keep = keep + RETAIN_MS end
-- A server whose memory is full lets a script go on that has begun with what needs none, and those who make room may have to
-- hold something for it.
redis.call('HDEL', KEYS[1], 'b')
redis.call('HSET', KEYS[1], 'o', held, 'q', line, 'p', permits)
if ARGV[6] ~= '' and shares == permits then redis.call('HSET', KEYS[1], 'b', ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('HSET', KEYS[2], 'h', token)
-- Whoever may not publish lets them ask.
-- bound: those who were let in
for at = 1, #told, 22 do
  redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))
end
return { 1, token, ttl, now }
