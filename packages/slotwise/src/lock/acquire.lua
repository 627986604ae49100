-- Takes the lock for `owner` if nobody holds it, with a fencing token above every earlier one of its slot.
--
-- The lock is one hash: o its owner, e when its time is over (server ms), f its token, b what the holder says of itself, q those
-- who wait, 35 characters each: owner and the server's time from which it waits no more. Without f it is kept for the first of
-- the line, who is told and claims it by asking again; nobody holds it then.
-- The marker, which marker.part.lua is about, keeps the largest token, and that the server may have forgotten grants. Where the
-- same key is given for both, a record keeps its own token, and nothing is known of the server.
-- v is what came of the work that the lock was for, until e: then nobody needs the lock.
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
-- @return {1, token, ms, now} held | {2, result} it is done | {0, ms, place, label, now} somebody else's for so long | {-2, ms, now} none for so long | {-4, reign, now} look at the longest time first
-- include: marker.part.lua
local CLAIM_MS = 1000
local LONGEST_LINE = 35 * 1000
local RETAIN_MS = 60000
local owner, ttl, wait = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])

-- The server's clock: callers' clocks disagree on when a lock is over.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'b', 'q', 'v')
local ends = tonumber(saved[2]) or 0
local holder = saved[1]
local live = holder and ends > now
if saved[6] and ends > now then return { 2, saved[6] } end
if live and holder == owner and saved[3] then return { 1, saved[3], ends - now, now } end

local forgetful_ms, token = marker({ KEYS[2] }, { tonumber(ARGV[3]), tonumber(ARGV[4]), now_us, ARGV[7], tonumber(ARGV[8]) })
if forgetful_ms > 0 then return { -2, forgetful_ms, now } end
if forgetful_ms < 0 then return { -4, token, now } end

local line = saved[5] or ''
if not live then
  -- bound: the places in the line
  while line ~= '' and tonumber(string.sub(line, 23, 35)) <= now do line = string.sub(line, 36) end
  holder = string.sub(line, 1, 22)
  if line == '' or holder == owner then
    live = false
  else
    live = true
    ends = now + CLAIM_MS
    saved[4] = false
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
      line = line .. owner .. string.sub('000000000000' .. string.format('%.0f', now + wait), -13)
      place = #line / 35
    end
  end
  -- Only where it changed.
  if line ~= (saved[5] or '') or holder ~= saved[1] then
    local keep = math.max(ends - now, wait, redis.call('PTTL', KEYS[1]))
    redis.call('HDEL', KEYS[1], 'w')
    if holder ~= saved[1] then
      redis.call('HDEL', KEYS[1], 'f', 'b')
      redis.call('HSET', KEYS[1], 'o', holder, 'e', string.format('%.0f', ends))
      -- Whoever may not publish lets them ask.
      redis.pcall('SPUBLISH', KEYS[1], holder .. string.sub(line, 1, 22))
    end
    redis.call('HSET', KEYS[1], 'q', line)
    redis.call('PEXPIRE', KEYS[1], keep)
  end
  return { 0, ends - now, place, saved[4] or '', now }
end

local keep = ttl
if KEYS[1] == KEYS[2] then keep = keep + RETAIN_MS end
if line ~= '' then keep = math.max(keep, redis.call('PTTL', KEYS[1])) end
-- A server whose memory is full lets a script go on that has begun with what needs none, and those who make room may have to
-- hold something for it.
redis.call('HDEL', KEYS[1], 'b', 'q', 'v', 'd')
redis.call('HSET', KEYS[1], 'o', owner, 'e', string.format('%.0f', now + ttl), 'f', token)
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'b', ARGV[6]) end
if line ~= '' then redis.call('HSET', KEYS[1], 'q', line) end
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('HSET', KEYS[2], 'h', token)
return { 1, token, ttl, now }
