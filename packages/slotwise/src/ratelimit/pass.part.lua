-- What has become of a record by now, by itself: each part as it is now, so that the moment of the record may become now.
--
-- Whoever adds a moment at which something ends, counted from now, writes that: else a clock that then steps back, though not behind
-- the moment that is in the record, would let it last longer by the step.
--
-- @arg saved  the record
-- @arg plan   mode, size of the parts, layout and tiers, as decide.lua takes them
-- @arg now    the server's clock
-- @return layout, moment and parts; the entries, moved with a clock that has stepped back
local saved, plan, now = ARGV[1], ARGV[2], ARGV[3]
local mode, parts, _, place = struct.unpack('>BBI4', plan)
local at, list, isKnown = 13, 13 + parts * 8, true
local _, written = struct.unpack('>I4d', saved)
local age = math.max(0, now - written)
local entries = string.sub(saved, list)
if now < written then
  local ends = {}
  -- bound: the entries of one record
  for entry = list, #saved, 16 do
    ends[#ends + 1] = struct.pack('>d', struct.unpack('>d', saved, entry) + now - written) .. string.sub(saved, entry + 8, entry + 15)
  end
  entries, written = table.concat(ends), now
end
local record = string.sub(saved, 1, 4) .. struct.pack('>d', now)
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
      if now < start or now >= last then
        -- The next decision will know which day it is.
        start, isKnown = 0, age == 0
      elseif now >= ending then
        start = ending
      end
    end
    if written < start then part = struct.pack('>d', 0) end
  elseif kind == 7 then
    local filled = (start - (written - written % width)) / width * unit
    part = struct.pack('>d', math.max(0, struct.unpack('>d', part) - filled))
  end
  record = record .. part
end
if not isKnown then record = string.sub(saved, 1, list - 1) end
return record, entries
