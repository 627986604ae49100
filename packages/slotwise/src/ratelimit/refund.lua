-- Gives back what a decision took, as far as it still counts: what has come back by itself since, or has left its window, is not
-- given a second time. What is given is marked, so that to repeat it is harmless for as long as the mark is kept.
--
-- The moment of the record stays, so all parts of it stay true; and so does its end, by which all would have come back at the
-- latest.
--
-- @key state
-- @arg plan     as of the decision, each cost what is to be given back
-- @arg receipt  layout, moment and parts that the decision answered with
-- @arg lease    6 bytes of what the decision added to a concurrency
-- @arg mark     8 bytes by which this is known again
-- @arg keep     microseconds for which it is kept
-- @return 1 given, now or before; 0 nothing of it counts any more
local plan, receipt, mark = ARGV[1], ARGV[2], ARGV[4]
local mode, parts, layout, place = struct.unpack('>BBI4', plan)
local at, list = 13, 13 + parts * 8
local saved = redis.call('GET', KEYS[1])
if not saved or #saved < list - 1 or struct.unpack('>I4', saved) ~= layout then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local _, written = struct.unpack('>I4d', saved)
-- A clock that has stepped back moves nothing.
if now < written then now = written end
local age = now - written
local _, decided = struct.unpack('>I4d', receipt)

local given, record, lists = 0, string.sub(saved, 1, 12), ''
if string.sub(saved, list + 8, list + 15) == '\0\0\0\0\0\0\0\0' then
  lists = string.sub(saved, list, list + 15)
  list = list + 16
end
-- bound: the tiers of one policy, 20 bytes each
while place < #plan do
  local kind, width, unit, cost = string.byte(plan, place)
  width, unit, cost, place = struct.unpack('>I6I3I5', plan, place + 6)
  if mode > 1 then
    record = record .. string.sub(saved, at, at + 7)
    at = at + 8
  end
  local back = 0
  if kind == 1 then
    local debt, interval = struct.unpack('>dd', saved, at)
    local owed, each = struct.unpack('>dd', receipt, at)
    -- Tokens come back in the order in which they were taken.
    back = math.max(0, math.min(cost * each, decided + owed - now))
    if each ~= interval then back = math.floor(back / each) * interval end
    back = math.max(0, math.min(back, debt - age))
    record = record .. struct.pack('>dd', debt - back, interval)
    at = at + 16
  elseif kind < 4 then
    local form, size = kind == 2 and '>I4I4' or '>dd', kind == 2 and 8 or 16
    local previous, current = struct.unpack(form, saved, at)
    local start = written - written % width
    local counts = decided >= now - now % width - width
    if counts and decided >= start then
      back = math.min(cost, current)
      current = current - back
    elseif counts and decided >= start - width then
      back = math.min(cost, previous)
      previous = previous - back
    end
    record = record .. struct.pack(form, previous, current)
    at = at + size
  elseif kind < 8 then
    local count = struct.unpack('>d', saved, at)
    local start = now - now % width
    if kind == 4 then
      local left = struct.unpack('>d', saved, at + 8)
      if left > age and decided >= written + left - width then back = math.min(cost, count) end
      -- A window begins with the first that counts.
      if back == count then left = 0 end
      record = record .. struct.pack('>dd', count - back, left)
      at = at + 16
    else
      if kind == 7 then
        local owed = struct.unpack('>d', receipt, at)
        owed = owed - (start - (decided - decided % width)) / width * unit
        local missing = count - (start - (written - written % width)) / width * unit
        back = math.max(0, math.min(cost, owed, missing))
      else
        if kind == 6 then
          local ending
          ending, _, place = struct.unpack('>I6I6', plan, place)
          start = 1000 * (now < ending * 1000 and width or ending)
        end
        if decided >= start and written >= start then back = math.min(cost, count) end
      end
      record = record .. struct.pack('>d', count - back)
      at = at + 8
    end
  else
    local count, total = struct.unpack('>I4I4', saved, at)
    at = at + 8
    local part = unit > 0 and math.ceil(width / unit) or 1
    local over = decided - decided % part + part - 1 + width
    local kept = {}
    -- bound: the entries of one tier
    for entry = list, list + 16 * count - 1, 16 do
      local text = string.sub(saved, entry, entry + 15)
      local ending, size = struct.unpack(kind == 8 and '>dd' or '>dH', text)
      local isIt = cost > 0 and back == 0 and ending > now and (kind == 8 and ending == over or kind == 9 and string.sub(text, 11) == ARGV[3])
      if isIt then
        back = math.min(cost, size)
        total = total - back
        if back < size then text = kind == 8 and struct.pack('>dd', ending, size - back) or struct.pack('>dH', ending, size - back) .. ARGV[3] end
      end
      if isIt and back == size then count = count - 1 else kept[#kept + 1] = text end
    end
    local before = struct.unpack('>I4', saved, at - 8)
    list = list + 16 * before
    record, lists = record .. struct.pack('>I4I4', count, total), lists .. table.concat(kept)
  end
  given = given + back
end

local marks = string.sub(saved, list)
local found = string.find(marks, mark, 1, true)
-- bound: the marks of one record
while found and found % 16 ~= 9 do found = string.find(marks, mark, found + 1, true) end
if found then return 1 end
if given == 0 then return 0 end
marks = string.sub(marks, -15984) .. struct.pack('>d', now + ARGV[5]) .. mark
redis.call('SET', KEYS[1], record .. lists .. marks, 'PX', math.max(1, redis.call('PTTL', KEYS[1])))
return 1
