-- What is left of a sealed journal: lines, and marks that may still come again. Those whose time is over are removed.
-- Harmless to repeat.
--
-- @key partition
-- @return {what it belongs to, how many lines wait, bytes, how many marks are left, milliseconds until the first of them may go}
local hash = KEYS[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local meta = redis.call('HMGET', hash, 'p', 'f', 'l', 'b', 'qf', 'ql')
local head, tail = tonumber(meta[5] or 1), tonumber(meta[6] or 0)
local lines = tonumber(meta[3] or 0) - tonumber(meta[2] or 1) + 1
local wait = 0
if string.sub(meta[1] or '', 1, 1) == '>' then
  -- bound: 1000, and the marks that there are
  for _ = 1, math.min(1000, tail - head + 1) do
    local place = 'q' .. string.format('%.0f', head)
    local mark = redis.call('HGET', hash, place)
    local answer = mark and redis.call('HGET', hash, 'm' .. mark)
    wait = 0
    if answer then wait = tonumber(string.sub(answer, 1, 14)) - now end
    if wait > 0 then break end
    -- The journal itself stays, by what it belongs to.
    if mark then redis.call('HDEL', hash, place, 'm' .. mark) end
    head = head + 1
  end
  if head ~= tonumber(meta[5] or 1) then
    -- There is no field `w`, but a server whose memory is full lets a script go on that has begun with what needs none.
    redis.call('HDEL', hash, 'w')
    redis.call('HSET', hash, 'qf', string.format('%.0f', head))
  end
end
return {meta[1] or '', lines, tonumber(meta[4] or 0), math.max(0, tail - head + 1), math.max(0, wait)}
