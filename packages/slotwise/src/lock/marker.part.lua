-- What the marker of a slot, one for all locks of it, says to whoever wants one: for how long none is given, and the next token.
--
-- The marker is a hash: h the largest token, r the reign of the primary that knows of all grants, p the run of its process, s since
-- when, m the longest time that anybody may hold a lock, c the largest epoch of sentinels that was told in that reign, n when others
-- were told last that the slot has locks.
-- A reign is what replication calls a history of writes: every start and every promotion of a primary begins one. Whoever is in
-- another than the marker names may have forgotten grants: it gives none until those are over, and notes when it has seen that
-- first. For how long, only who has looked since can say: another process may have raised the longest time after this one had
-- looked, held a lock, and be forgotten, here or where the slot was before. Whoever gives the token writes it to h.
-- Sentinels may choose a server again that never heard that it was replaced. It is a primary already, so no reign begins; their epoch
-- grows, and counts as another reign. Whoever tells a smaller one has not heard yet, and changes nothing. A marker of an earlier
-- version has none, which is less than any failover: whether there has been one since, nobody can tell. With another reign the epoch
-- is what is told then, though it be smaller: new sentinels count from 0.
-- A slot without a marker never had a lock, or it is forgotten: others know, who were told once there was one, and whom a caller asks
-- before. Its answer counts in the reign that it was sent to ask in.
--
-- @key marker
-- @arg longest_ms  how long any lock may be held without being extended; 0 gives locks after a restart too
-- @arg least       least token, if the server's clock is not to be it; 0 for none
-- @arg now_us      the server's clock
-- @arg looked      a reign that was known before the longest time was looked at; empty for none
-- @arg looked_ms   the server's clock then
-- @arg last        the largest token that the record of what is asked for keeps; 0 for none
-- @arg epoch       which failover made the server the primary, as sentinels count them; 0 for none, and where none watch
-- @arg first       the reign in which others said that the slot never had a lock | 0 they do not | empty: they have not been asked | - nobody is
-- @return ms for which no lock is given; 0 for none, -1 until the longest time has been looked at, -2 until others have been asked; the
--   next token, or the reign; whether others are to be told
local TOLD_MS = 3600000
local longest, least, clock, looked, looked_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last, epoch, first, untold = ARGV[6], ARGV[7], ARGV[8], false

if longest > 0 then
  local mark = redis.call('HMGET', KEYS[1], 'h', 'r', 's', 'm', 'p', 'c', 'n')
  last = math.max(last, tonumber(mark[1]) or 0)
  local now = math.floor(clock / 1000)
  local known = tonumber(mark[4]) or 0
  longest = math.max(longest, known)
  local replication = redis.call('INFO', 'replication')
  local at = string.find(replication, 'master_replid:', 1, true)
  local reign = string.sub(replication, at + 14, at + 53)
  if not mark[2] and first ~= '0' and first ~= '-' and first ~= reign then return -2, reign end
  -- They may have forgotten it meanwhile.
  untold = first ~= '-' and math.abs(now - (tonumber(mark[7]) or 0)) > TOLD_MS
  local since, run, told = tonumber(mark[3]) or 0, mark[5] or '', tonumber(mark[6]) or 0
  if mark[2] ~= reign or since > now or epoch > told then
    local server = redis.call('INFO', 'server')
    local never = string.find(replication, 'master_replid2:' .. string.rep('0', 40), 1, true)
    at = string.find(server, 'run_id:', 1, true)
    -- A primary without replicas gives its reign another name after an hour (repl-backlog-ttl), and no earlier name then.
    local same = never and since <= now and epoch <= told and string.sub(server, at + 7, at + 46) == run
    run = string.sub(server, at + 7, at + 46)
    if not same then
      since, told = now, epoch
      -- Others may have forgotten it too: only a server that was up all the time, and never replaced, gives one at once.
      if not mark[2] and first ~= '0' and never and epoch == 0 then
        local up = string.find(server, 'uptime_in_seconds:', 1, true) + 18
        local uptime = tonumber(string.sub(server, up, string.find(server, '\r', up, true) - 1))
        -- What it may have forgotten is from before its start: locks of another name may be held for longer than these.
        if (uptime - 1) * 1000 > longest then since = now - (uptime - 1) * 1000 end
      end
    end
    known = 0
  end
  if known < longest then
    -- Others are told anew; and a server whose memory is full lets a script go on that has begun with what needs none.
    redis.call('HDEL', KEYS[1], 'n')
    redis.call('HSET', KEYS[1], 'r', reign, 'p', run, 's', string.format('%.0f', since), 'm', longest, 'c', told)
  end
  if looked ~= reign or looked_ms < since then return -1, reign end
  if since > 0 and since + longest > now then return since + longest - now, 0 end
end

-- A proposal from a clock that is ahead must not carry the tokens away with it, further than clocks may be apart.
if least > 0 then
  local ahead = 2000000
  if longest > 0 then ahead = math.min(ahead, longest * 500) end
  clock = math.min(least, clock + ahead)
end
-- tostring would keep 14 of its 16 digits.
return 0, string.format('%.0f', math.max(last + 1, clock)), untold
