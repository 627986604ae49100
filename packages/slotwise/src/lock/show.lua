-- Tells where a lock stands, and changes nothing.
--
-- @key lock
-- @key marker
-- @arg epoch  see marker.part.lua
-- @return {owner, ms, token, label, waiting, quarantine_ms, now}: owner empty for nobody's; token empty while it is kept for the first of
--   the line; quarantine_ms for how long the next request would be told to wait
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('GET', KEYS[1])
local owner, left, token, label, line = '', 0, '', '', ''
-- What is no record of a lock is nobody's.
if saved and tonumber(string.sub(saved, 54, 57)) then
  local state = string.sub(saved, 52, 52)
  local from = 58 + tonumber(string.sub(saved, 54, 57))
  left = tonumber(string.sub(saved, 23, 35)) - now
  if state ~= 'd' then line = string.sub(saved, from) end
  if left > 0 and (state == 'h' or state == 'c') then owner, label = string.sub(saved, 1, 22), string.sub(saved, 58, from - 1) end
  if left > 0 and state == 'h' then token = string.sub(saved, 36, 51) end
end

local waiting = 0
-- bound: the places in the line
for at = 23, #line, 35 do
  if tonumber(string.sub(line, at, at + 12)) > now then waiting = waiting + 1 end
end

local mark = redis.call('HMGET', KEYS[2], 'r', 's', 'm', 'p', 'c')
local quarantine = 0
if mark[1] and mark[3] then
  local replication = redis.call('INFO', 'replication')
  local since = tonumber(mark[2]) or 0
  local same = string.find(replication, 'master_replid:' .. mark[1], 1, true)
  -- Its reign was given another name, as marker.part.lua says.
  if not same and string.find(replication, 'master_replid2:' .. string.rep('0', 40), 1, true) then
    same = string.find(redis.call('INFO', 'server'), 'run_id:' .. (mark[4] or ''), 1, true)
  end
  -- Another primary gave the last lock, or another may have given some since: the quarantine begins with the next request.
  if not same or since > now or tonumber(ARGV[1]) > (tonumber(mark[5]) or 0) then since = now end
  if since > 0 then quarantine = math.max(0, since + tonumber(mark[3]) - now) end
end

if owner == '' then left = 0 end
return { owner, left, token, label, waiting, quarantine, now }
