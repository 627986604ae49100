-- Decides a request by all tiers of a subject at once: every tier gives what is asked, or none gives anything.
--
-- The record is one string: the layout, the moment it was last written, then for each tier a part of fixed size, then entries
-- of 16 bytes: a moment at which one ends and 8 bytes of what it is. They are a block, the lists of the tiers that have one in
-- their order, and the marks of decisions that may be repeated. Parts are true of the moment of writing, so a clock that has
-- stepped back moves nothing: that moment becomes now. Other layouts are forgotten. Times are whole microseconds since 2024, all
-- numbers integers that doubles hold, so that all compares exactly.
--
-- A refusal writes nothing, so it neither costs anything nor pushes the caller's turn further away; unless the clock has stepped
-- back or the limits have changed, which the record has to know of: else nobody had a turn before the clock has caught up, and
-- what was used under the old limits would go on coming back by them. Harmless to repeat with an id that is kept, or where
-- nothing is taken. Price: one round trip, one key.
--
-- @key state
-- @arg plan     mode (sum of: 1 takes what there is and never refuses, 2 keeps proportions, 4 waits in line, 8 leaves something for
--               others), size of the parts in 8 bytes, layout; then for each tier kind, limit, width, unit, cost: see plan.ts
-- @arg call...  8 bytes by which this decision is known again, microseconds for which it is kept; of who waits, by how many
--               microseconds a bucket may owe more than it holds: how far ahead the place in its line may be; of who
--               leaves something, how much of each tier, in 5 bytes
-- @return       0 refused, 1 admitted, 2 admitted before, 3 blocked, 4 no calendar day given is now; layout, now, each tier's
--               part as if the cost had been taken; four moments for each list: its last end, that of this cost, when the cost
--               would fit, when more would; of 2 when that was, of 3 the end of the block
local plan = ARGV[1]
local _, id, keep, ahead = unpack(ARGV)
-- Of one of several keys that are decided at once: what together.lua tells of the others. It is written there.
local joint = ARGV.joint
local mode, parts, layout, first = struct.unpack('>BBI4', plan)
local force, shares, entries = mode % 2 == 1, mode % 4 > 1, 13 + parts * 8
local spares = mode > 7 and ahead
keep, ahead = tonumber(keep), mode % 8 > 3 and tonumber(ahead) or 0

-- The server's clock: the callers' clocks disagree, and would share one record.
local time = joint and joint.time or redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000

local saved = redis.call('GET', KEYS[1])
local known, mended, written, age = false, false, now, 0
if saved and #saved >= entries - 1 then
  local was, moment = struct.unpack('>I4d', saved)
  if was == layout then
    known, written, age = true, moment, now - moment
    if age < 0 then
      local ends = {}
      -- bound: the entries of one record
      for entry = entries, #saved, 16 do
        ends[#ends + 1] = struct.pack('>d', struct.unpack('>d', saved, entry) + age) .. string.sub(saved, entry + 8, entry + 15)
      end
      saved = string.sub(saved, 1, entries - 1) .. table.concat(ends)
      mended, written, age = true, now, 0
    end
  end
end
-- A block is the first entry, by an id that nothing else has.
local block = now
if known and string.sub(saved, entries + 8, entries + 15) == '\0\0\0\0\0\0\0\0' then
  block = struct.unpack('>d', saved, entries)
  entries = entries + 16
end

local blocked = block > now and not force
local verdict, charge, taken, reply = (blocked or joint and joint.refused) and '0' or '1', 1, joint and joint.takes or 0, nil
local record, lists, list, full
-- bound: twice
repeat
  local place, at, turns, spare = first, 13, '', 0
  record, lists, list, full = struct.pack('>I4d', layout, now), '', entries, now
  -- bound: the tiers of one policy, 20 bytes each
  while place < #plan do
    local kind, limit, width, unit, cost
    kind, limit, width, unit, cost, place = struct.unpack('>BI5I6I3I5', plan, place)
    taken, cost = taken + cost, cost * charge
    -- What is left for others has to be there too, and is not taken.
    if spares then
      local left = struct.unpack('>I5', spares, spare * 5 + 1)
      spare = spare + 1
      if cost > 0 then cost = cost + left end
    end
    -- Of a policy that keeps proportions each part begins with the limit of which it is a part.
    local before = limit
    if shares then
      if known then before = struct.unpack('>d', saved, at) end
      if before ~= limit then mended = true end
      at = at + 8
      record = record .. struct.pack('>d', limit)
    end

    if kind == 1 then
      -- A token bucket: the time until it is full, and the time of one token by which that was counted.
      local debt, depth = 0, limit * width
      if known then
        local interval
        debt, interval = struct.unpack('>dd', saved, at)
        debt = debt - age
        if debt < 0 then debt = 0 end
        if interval ~= width or before ~= limit then
          debt = math.ceil(math.ceil(debt / interval) * limit / before) * width
          mended = true
        end
        -- Of those who wait in line more than a full bucket is owed.
        local most = depth + unit * 1000
        if debt > most then debt, mended = most, true end
      end
      at = at + 16
      local owed = debt
      debt, depth = debt + cost * width, depth + ahead
      if debt > depth then
        if force then debt = math.max(depth, owed) elseif cost > 0 then verdict = '0' end
      end
      if now + debt > full then full = now + debt end
      record = record .. struct.pack('>dd', debt, width)
    elseif kind < 4 then
      -- An estimate: what was counted in the window before, and in this one.
      local start, previous, current = now - now % width, 0, 0
      local form = kind == 2 and '>I4I4' or '>dd'
      if known and written >= start - width then
        previous, current = struct.unpack(form, saved, at)
        if written < start then previous, current = current, 0 end
        if before ~= limit then
          previous, current = math.ceil(previous * limit / before), math.ceil(current * limit / before)
        end
        if previous > limit then previous, mended = limit, true end
        if current > limit then current, mended = limit, true end
      end
      at = at + (kind == 2 and 8 or 16)
      local units, passed = width / unit, now - start
      -- Both sides in requests times units. Integers compare exactly; fractions of a window do not.
      if cost > 0 and previous * (units - (passed - passed % unit) / unit) > (limit - current - cost) * units then
        if force then cost = math.min(cost, limit - current) else verdict = '0' end
      end
      current = current + cost
      local over = current > 0 and start + 2 * width or previous > 0 and start + width or now
      if over > full then full = over end
      record = record .. struct.pack(form, previous, current)
    elseif kind < 8 then
      -- A fixed window counts, and so does a bucket that is filled in steps what is missing in it.
      local count, left = 0, 0
      if known then count = struct.unpack('>d', saved, at) end
      at = at + 8
      local start, over = now - now % width, 0
      if kind == 4 then
        -- From the first request on: the time that is left of it.
        if known then left = struct.unpack('>d', saved, at) - age end
        at = at + 8
        if left <= 0 then count, left = 0, cost > 0 and width or 0 end
        over = now + left
      elseif kind == 7 then
        count = count - (start - (written - written % width)) / width * unit
        if count < 0 then count = 0 end
      else
        over = start + width
        if kind == 6 then
          -- Lua has no calendar: the caller tells two windows, in milliseconds, and the clock here chooses.
          local ending, last
          ending, last, place = struct.unpack('>I6I6', plan, place)
          start, ending, last = width * 1000, ending * 1000, last * 1000
          if now < start or now >= last then return '4' .. struct.pack('>I4d', layout, now) end
          over = ending
          if now >= ending then start, over = ending, last end
        end
        if written < start then count = 0 end
      end
      if before ~= limit then count = math.ceil(count * limit / before) end
      if count > limit then count, mended = limit, true end
      if count + cost > limit then
        if force then cost = limit - count elseif cost > 0 then verdict = '0' end
      end
      count = count + cost
      if kind == 7 then over = start + math.ceil(count / unit) * width end
      if count > 0 and over > full then full = over end
      record = record .. (kind == 4 and struct.pack('>dd', count, left) or struct.pack('>d', count))
    else
      -- A list: of a log the ends of what was admitted, of a concurrency those of what is under way.
      local count, total, tail, form = 0, 0, '', kind == 8 and '>dd' or '>dH'
      if known then
        count, total = struct.unpack('>I4I4', saved, at)
        local entry = list
        list = list + 16 * count
        if kind == 8 then
          -- bound: the entries of one tier
          while entry < list do
            local ending, size = struct.unpack(form, saved, entry)
            if ending > now then break end
            count, total, entry = count - 1, total - size, entry + 16
          end
          tail = string.sub(saved, entry, list - 1)
        else
          local live = {}
          -- bound: the entries of one tier
          for one = entry, list - 1, 16 do
            local ending, size = struct.unpack(form, saved, one)
            if ending > now then
              live[#live + 1] = string.sub(saved, one, one + 15)
            else
              count, total = count - 1, total - size
            end
          end
          tail = table.concat(live)
        end
      end
      at = at + 8
      local used, more, fits, entry = total, 0, 0, 1
      -- bound: the entries of one tier
      while entry < #tail and (more == 0 or fits == 0) do
        local ending, size = struct.unpack(form, tail, entry)
        used, entry = used - size, entry + 16
        if used < limit and more == 0 then more = ending end
        if used + cost <= limit and fits == 0 then fits = ending end
      end
      if total + cost > limit then
        if force then cost = math.max(0, limit - total) elseif cost > 0 then verdict = '0' end
      end
      -- What is logged counts to the end of the part of the window it came in, so that no window ever holds more than the limit.
      local part = kind == 8 and unit > 0 and math.ceil(width / unit) or 1
      local last, over = 0, now - now % part + part - 1 + width
      if count > 0 then last = struct.unpack('>d', tail, #tail - 15) end
      -- The parts of a clock that has stepped back lie differently; the list stays in its order.
      if kind == 8 and last > over then over = last end
      turns = turns .. struct.pack('>dddd', last, over, fits, more)
      if cost > 0 then
        if kind == 8 and last == over then
          local _, size = struct.unpack(form, tail, #tail - 15)
          tail = string.sub(tail, 1, -17) .. struct.pack(form, over, size + cost)
        else
          count = count + 1
          tail = tail .. struct.pack(form, over, cost) .. (kind == 9 and string.sub(id, 1, 6) or '')
        end
        if over > full then full = over end
      end
      if last > full then full = last end
      record, lists = record .. struct.pack('>I4I4', count, total + cost), lists .. tail
    end
  end
  reply = reply or record .. turns
  -- What the record has to know of is written once more, without the cost.
  local again = mended and verdict == '0' and charge == 1
  if again then charge = 0 end
  if spares and verdict == '1' then spares, reply, again = nil, nil, true end
until not again

local marks = known and string.sub(saved, list) or ''
local live = 1
-- bound: the marks of one record
while live < #marks do
  local ending = struct.unpack('>d', marks, live)
  if ending > now then break end
  live = live + 16
end
if live > 1 then marks = string.sub(marks, live) end
local found = keep and string.find(marks, id, 1, true)
-- bound: the marks of one record
while found and found % 16 ~= 9 do found = string.find(marks, id, found + 1, true) end
if found then
  verdict, reply = '2', reply .. struct.pack('>d', struct.unpack('>d', marks, found - 8) - keep)
elseif blocked and taken > 0 then
  verdict, reply = '3', reply .. struct.pack('>d', block)
elseif blocked then
  verdict = '1'
elseif keep and verdict == '1' then
  -- Who keeps a thousand at once has the oldest forgotten.
  marks = string.sub(marks, -15984) .. struct.pack('>d', now + keep) .. id
end
if (verdict == '1' or mended and charge == 0) and taken > 0 then
  if marks ~= '' then
    local ending = struct.unpack('>d', marks, #marks - 15)
    if ending > full then full = ending end
  end
  if block > now then
    lists = struct.pack('>d', block) .. '\0\0\0\0\0\0\0\0' .. lists
    if block > full then full = block end
  end
  -- Then the record means what its absence means.
  record = record .. lists .. marks
  local ms = math.max(1, math.ceil((full - now) / 1000))
  if joint then return verdict .. reply, record, ms end
  redis.call('SET', KEYS[1], record, 'PX', ms)
end
return verdict .. reply
