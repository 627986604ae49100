-- Takes the lock for `owner` if nobody holds it, with a fencing token above every earlier one of its slot.
--
-- The record of a lock is one text: 22 characters of its owner, 13 of when its time is over (server ms), 16 of its token; what it is, h
-- held, c kept for the first of the line, who is told and claims it by asking again, d done, - nobody's; how long it is kept, 0 as
-- long as the lock lasts, 1 perhaps longer, for those who wait, 2 longer, for its token, where no marker keeps it; 4 of how long what
-- the holder says of itself is, and that; and those who wait, 35 each: owner and the server's time from which it waits no more. Of work
-- that is done what came of it, in their place: then nobody needs the lock until its time is over.
-- The marker, which marker.part.lua is about, keeps the largest token, and that the server may have forgotten grants. Where the
-- same key is given for both, nothing is known of the server.
-- Asking again with the same owner gives the same answer, so this is harmless to repeat.
-- Price: one round trip; a refusal writes nothing but a place in the line.
--
-- @key lock
-- @key marker
-- @arg owner       22 characters, fresh and random for each acquisition
-- @arg ttl_ms      how long it is held unless extended
-- @arg longest_ms  how long any lock may be held without being extended; 0 gives locks after a restart too
-- @arg least       least token, if the server's clock in microseconds is not to be it; 0 for none
-- @arg wait_ms     how long to stay in the line; 0 takes no place
-- @arg label       what to tell others of the holder; empty for nothing
-- @arg looked      see marker.part.lua
-- @arg looked_ms   see marker.part.lua
-- @arg epoch       see marker.part.lua
-- @arg first       see marker.part.lua
-- @return {1, token, ms, now} held; a 1 more where others are to be told that the slot has locks | {2, result} it is done | {0, ms, place, label, now} somebody else's for so long | {-2, ms, now} none for so long | {-4, reign, now} look at the longest time first | {-5, reign, now} ask others whether the slot had locks first
-- include: marker.part.lua
-- include: put.part.lua
local CLAIM_MS = 1000
local LONGEST_LINE = 35 * 1000
local RETAIN_MS = 60000
-- A place has 13 digits for its time, and who waits for longer asks again by then: 24 days.
local LONGEST_WAIT_MS = 2147483647
local owner, ttl, wait = ARGV[1], tonumber(ARGV[2]), math.min(tonumber(ARGV[5]), LONGEST_WAIT_MS)

-- The server's clock: callers' clocks disagree on when a lock is over.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local saved = redis.call('GET', KEYS[1])
local holder, ends, last, label, line, state, keeping = '', 0, 0, '', '', '-', '0'
if saved then
  holder, ends, last = string.sub(saved, 1, 22), tonumber(string.sub(saved, 23, 35)), tonumber(string.sub(saved, 36, 51))
  state, keeping = string.sub(saved, 52, 52), string.sub(saved, 53, 53)
  local from = 58 + tonumber(string.sub(saved, 54, 57))
  label, line = string.sub(saved, 58, from - 1), string.sub(saved, from)
end
-- By the keys that are given: the record may be one of before the setting was changed.
if KEYS[1] == KEYS[2] then
  keeping = '2'
elseif keeping == '2' then
  keeping = '1'
end
if state == 'd' then
  if ends > now then return { 2, line } end
  line = ''
end
local live = ends > now and (state == 'h' or state == 'c')
if live and holder == owner and state == 'h' then
  -- Who is told so once more has not told others, if its first answer was lost.
  local untold = KEYS[1] ~= KEYS[2] and 1 - redis.call('HEXISTS', KEYS[2], 'n') or 0
  return { 1, string.format('%.0f', last), ends - now, now, untold }
end

local looked, looked_ms, epoch = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local forgetful_ms, token, untold = marker({ KEYS[2] }, { tonumber(ARGV[3]), tonumber(ARGV[4]), now_us, looked, looked_ms, last, epoch, ARGV[10] })
if forgetful_ms > 0 then return { -2, forgetful_ms, now } end
if forgetful_ms == -1 then return { -4, token, now } end
if forgetful_ms < 0 then return { -5, token, now } end

local before = line
local told = ''
if not live then
  -- bound: the places in the line
  while line ~= '' and tonumber(string.sub(line, 23, 35)) <= now do line = string.sub(line, 36) end
  if line ~= '' and string.sub(line, 1, 22) ~= owner then
    live = true
    holder, told = string.sub(line, 1, 22), string.sub(line, 1, 22)
    ends, state, label = now + CLAIM_MS, 'c', ''
  end
  line = string.sub(line, 36)
elseif holder == owner then
  live = false
end

if live then
  local place = 0
  if wait > 0 then
    local found = string.find(line, owner, 1, true)
    if found then
      place = (found + 34) / 35
    elseif #line < LONGEST_LINE then
      line = line .. owner .. string.format('%013.0f', now + wait)
      place = #line / 35
    end
  end
  -- Only where it changed.
  if line ~= before or told ~= '' then
    if keeping == '0' then keeping = '1' end
    local head = holder .. string.format('%013.0f%016.0f', ends, last) .. state .. keeping
    put({ KEYS[1] }, { head .. string.format('%04d', #label) .. label .. line, math.max(ends - now, wait, redis.call('PTTL', KEYS[1])) })
    -- Whoever may not publish lets them ask.
    if told ~= '' then redis.pcall('SPUBLISH', KEYS[1], told .. string.sub(line, 1, 22)) end
  end
  return { 0, ends - now, place, label, now }
end

local keep = ttl
if keeping == '2' then
  keep = keep + RETAIN_MS
elseif line == '' then
  keeping = '0'
else
  keeping = '1'
end
if line ~= '' then keep = math.max(keep, redis.call('PTTL', KEYS[1])) end
local head = owner .. string.format('%013.0f', now + ttl) .. string.sub('000000000000000' .. token, -16) .. 'h' .. keeping
put({ KEYS[1] }, { head .. string.format('%04d', #ARGV[6]) .. ARGV[6] .. line, keep })
if KEYS[1] ~= KEYS[2] then redis.call('HSET', KEYS[2], 'h', token) end
if untold then return { 1, token, ttl, now, 1 } end
return { 1, token, ttl, now }
