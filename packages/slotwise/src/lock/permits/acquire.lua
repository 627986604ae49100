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
-- @arg looked      see marker.part.lua
-- @arg looked_ms   see marker.part.lua
-- @arg epoch       see marker.part.lua
-- @arg first       see marker.part.lua
-- @return {1, token, ms, now} held; a 1 more where others are to be told that the slot has locks | {0, ms, place, label, now} too few for so long | {-2, ms, now} none for so long | {-4, reign, now} look at the longest time first | {-5, reign, now} ask others whether the slot had locks first | {-3, permits} there is another number of them
-- include: ../marker.part.lua
-- include: turns.part.lua
-- include: keep.part.lua
local LONGEST_LINE = 39 * 1000
local RETAIN_MS = 60000
-- A place has 13 digits for its time, and who waits for longer asks again by then: 24 days.
local LONGEST_WAIT_MS = 2147483647
local owner, ttl, shares = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[7])
local wait = math.min(tonumber(ARGV[5]), LONGEST_WAIT_MS)

-- The server's clock: callers' clocks disagree on when a lock is over.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'q', 'p', 'b', 'h')
local permits = tonumber(saved[3] or ARGV[8])
local held, line, used, soonest, latest, told = turns({}, { saved[1] or '', saved[2] or '', permits, now })

local mine = string.find(held, owner, 1, true)
if mine then
  local token = string.sub(held, mine + 35, mine + 50)
  if token ~= '0000000000000000' then
    -- Who is told so once more has not told others, if its first answer was lost.
    local untold = KEYS[1] ~= KEYS[2] and 1 - redis.call('HEXISTS', KEYS[2], 'n') or 0
    return { 1, string.format('%.0f', tonumber(token)), tonumber(string.sub(held, mine + 22, mine + 34)) - now, now, untold }
  end
end
if held == '' and line == '' then permits = tonumber(ARGV[8]) end
if permits ~= tonumber(ARGV[8]) then return { -3, permits } end

local looked, looked_ms, epoch = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local forgetful_ms, token, untold = marker({ KEYS[2] }, { tonumber(ARGV[3]), tonumber(ARGV[4]), now_us, looked, looked_ms, tonumber(saved[5]) or 0, epoch, ARGV[12] })
if forgetful_ms > 0 then return { -2, forgetful_ms, now } end
if forgetful_ms == -1 then return { -4, token, now } end
if forgetful_ms < 0 then return { -5, token, now } end

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
    keep({ KEYS[1] }, { held, line, permits, math.max(latest - now, wait, redis.call('PTTL', KEYS[1])), told })
  end
  if shares > 1 then soonest = latest end
  return { 0, soonest - now, place, saved[4] or '', now }
end

if mine then held = string.sub(held, 1, mine - 1) .. string.sub(held, mine + 55) end
local ends = string.sub('000000000000' .. string.format('%.0f', now + ttl), -13)
held = held .. owner .. ends .. string.sub('000000000000000' .. token, -16) .. string.sub('000' .. ARGV[7], -4)
local keep_ms = math.max(ttl, latest - now)
if KEYS[1] == KEYS[2] then keep_ms = keep_ms + RETAIN_MS end
if line ~= '' then keep_ms = math.max(keep_ms, redis.call('PTTL', KEYS[1])) end
-- Those who make room in a full memory may have to hold something for it.
redis.call('HDEL', KEYS[1], 'b')
keep({ KEYS[1] }, { held, line, permits, keep_ms, told })
if ARGV[6] ~= '' and shares == permits then redis.call('HSET', KEYS[1], 'b', ARGV[6]) end
redis.call('HSET', KEYS[2], 'h', token)
if untold then return { 1, token, ttl, now, 1 } end
return { 1, token, ttl, now }
