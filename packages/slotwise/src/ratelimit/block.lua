-- Refuses a subject until a moment, whatever it has consumed; or lets it in again. Harmless to repeat: the time counts anew.
--
-- @key state
-- @arg empty  a record of the layout in which nothing is taken
-- @arg ms     for how long; 0 ends it
-- @arg plan   of the tiers, costs do not matter
-- @return 1
-- include: pass.part.lua
local empty, ms = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local saved, ttl = redis.call('GET', KEYS[1]), 0
local record, rest = string.sub(empty, 1, 4) .. struct.pack('>d', now) .. string.sub(empty, 13), ''
if saved and #saved >= #empty and string.sub(saved, 1, 4) == string.sub(empty, 1, 4) then
  ttl = redis.call('PTTL', KEYS[1])
  record, rest = pass({}, { saved, ARGV[3], now })
elseif ms == 0 then
  return 1
end
local isBlocked = string.sub(rest, 9, 16) == '\0\0\0\0\0\0\0\0'
if isBlocked then rest = string.sub(rest, 17) end
if ms == 0 and not isBlocked then return 1 end
local block = ms > 0 and struct.pack('>d', now + ms * 1000) .. '\0\0\0\0\0\0\0\0' or ''
redis.call('SET', KEYS[1], record .. block .. rest, 'PX', math.max(1, ttl, ms))
return 1
