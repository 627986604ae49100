-- Lets what a decision added to concurrency tiers last for another `ttlMs` from now.
--
-- The moment of the record becomes now, and each part what has become of it by itself: else a clock that then steps back, though
-- not behind the last decision, would let the place of a holder that died last longer than its time.
--
-- @key state
-- @arg plan   as of the decision
-- @arg lease  6 bytes of what the decision added
-- @return 1 renewed, 0 it has ended, or was released
local plan, lease = ARGV[1], ARGV[2]
local mode, parts, layout, place = struct.unpack('>BBI4', plan)
local at, list = 13, 13 + parts * 8
local saved = redis.call('GET', KEYS[1])
if not saved or #saved < list - 1 or struct.unpack('>I4', saved) ~= layout then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local _, written = struct.unpack('>I4d', saved)
local age = math.max(0, now - written)
if now < written then
  local ends = {}
  -- bound: the entries of one record
  for entry = list, #saved, 16 do
    ends[#ends + 1] = struct.pack('>d', struct.unpack('>d', saved, entry) + now - written) .. string.sub(saved, entry + 8, entry + 15)
  end
  saved, written = string.sub(saved, 1, list - 1) .. table.concat(ends), now
end

local ttl, renewed, isKnown = redis.call('PTTL', KEYS[1]), 0, true
local record, lists = '', ''
if string.sub(saved, list + 8, list + 15) == '\0\0\0\0\0\0\0\0' then
  lists = string.sub(saved, list, list + 15)
  list = list + 16
end
-- bound: the tiers of one policy, 20 bytes each
while place < #plan do
  local kind = string.byte(plan, place)
  local width, unit = struct.unpack('>I6I3', plan, place + 6)
  place = place + 20
  if mode > 1 then
    record = record .. string.sub(saved, at, at + 7)
    at = at + 8
  end
  local size = (kind == 1 or kind == 3 or kind == 4) and 16 or 8
  local part, start = string.sub(saved, at, at + size - 1), now - now % width
  at = at + size
  if kind == 1 then
    local debt, interval = struct.unpack('>dd', part)
    part = struct.pack('>dd', math.max(0, debt - age), interval)
  elseif kind < 4 then
    local form = kind == 2 and '>I4I4' or '>dd'
    local _, current = struct.unpack(form, part)
    if written < start then part = struct.pack(form, written >= start - width and current or 0, 0) end
  elseif kind == 4 then
    local count, left = struct.unpack('>dd', part)
    part = left > age and struct.pack('>dd', count, left - age) or struct.pack('>dd', 0, 0)
  elseif kind < 7 then
    if kind == 6 then
      local ending, last
      ending, last, place = struct.unpack('>I6I6', plan, place)
      start, ending, last = width * 1000, ending * 1000, last * 1000
      -- The next decision will know which day it is.
      if now < start or now >= last then isKnown = age == 0 end
      if now >= ending then start = ending end
    end
    if written < start then part = struct.pack('>d', 0) end
  elseif kind == 7 then
    local filled = (start - (written - written % width)) / width * unit
    part = struct.pack('>d', math.max(0, struct.unpack('>d', part) - filled))
  else
    local count = struct.unpack('>I4', part)
    local last, renewal = list + 16 * count, ''
    -- bound: the entries of one tier
    for entry = list, last - 1, 16 do
      local text = string.sub(saved, entry, entry + 15)
      local ends = kind == 9 and renewal == '' and string.sub(text, 11) == lease and struct.unpack('>d', text) or 0
      if ends > now then
        renewal = struct.pack('>d', now + width) .. string.sub(text, 9)
        ttl, renewed = math.max(ttl, math.ceil(width / 1000)), 1
      else
        lists = lists .. text
      end
    end
    -- To the end, where the entry that ends last is.
    list, lists = last, lists .. renewal
  end
  record = record .. part
end
if renewed == 0 then return 0 end
local head = string.sub(saved, 1, 4) .. struct.pack('>d', now) .. record
if not isKnown then head = string.sub(saved, 1, 12 + parts * 8) end
redis.call('SET', KEYS[1], head .. lists .. string.sub(saved, list), 'PX', math.max(1, ttl))
return 1
