-- Frees what `owner` holds, and gives up its place in the line if it waits. The first of the line for whom there is room now are
-- told that it is their turn; for a second it is kept for them. Harmless to repeat: the second time nothing is the owner's any
-- more.
--
-- @key lock
-- @arg owner  as it was asked for with
-- @return 1 freed while it was held | 0 freed, but its time was over already | -1 somebody else's, or nobody's
-- include: turns.part.lua
-- include: keep.part.lua
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

local held, waiting, _, _, latest, told = turns({}, { holders, line, permits, now })
-- The label is the holder's: who only waited leaves it.
redis.call('HDEL', KEYS[1], mine and 'b' or 'w')
if held ~= '' or waiting ~= '' then
  keep({ KEYS[1] }, { held, waiting, permits, math.max(latest - now, redis.call('PTTL', KEYS[1])), told })
elseif saved[4] then
  -- The largest token, where no marker keeps it.
  redis.call('HDEL', KEYS[1], 'o', 'q', 'p')
else
  redis.call('DEL', KEYS[1])
end
return verdict
