-- Refuses a subject until a moment, whatever it has consumed; or lets it in again. Harmless to repeat: the time counts anew.
--
-- @key state
-- @arg empty  a record of the layout in which nothing is taken
-- @arg ms     for how long; 0 ends it
-- @return 1
local empty, ms = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local saved, ttl, age = redis.call('GET', KEYS[1]), 0, 0
if saved and #saved >= #empty and string.sub(saved, 1, 4) == string.sub(empty, 1, 4) then
  ttl = redis.call('PTTL', KEYS[1])
  local _, written = struct.unpack('>I4d', saved)
  age = now - written
elseif ms == 0 then
  return 1
else
  saved = string.sub(empty, 1, 4) .. struct.pack('>d', now) .. string.sub(empty, 13)
end
local record, rest = string.sub(saved, 1, #empty), string.sub(saved, #empty + 1)
local isBlocked = string.sub(rest, 9, 16) == '\0\0\0\0\0\0\0\0'
if isBlocked then rest = string.sub(rest, 17) end
if ms == 0 and not isBlocked then return 1 end
-- A clock that has stepped back moves nothing: the moment of the record becomes now. Else the block would begin with the next decision.
if age < 0 then
  local ends = {}
  -- bound: the entries of one record
  for entry = 1, #rest, 16 do
    ends[#ends + 1] = struct.pack('>d', struct.unpack('>d', rest, entry) + age) .. string.sub(rest, entry + 8, entry + 15)
  end
  record, rest = string.sub(record, 1, 4) .. struct.pack('>d', now) .. string.sub(record, 13), table.concat(ends)
end
local block = ms > 0 and struct.pack('>d', now + ms * 1000) .. '\0\0\0\0\0\0\0\0' or ''
redis.call('SET', KEYS[1], record .. block .. rest, 'PX', math.max(1, ttl, ms))
return 1
