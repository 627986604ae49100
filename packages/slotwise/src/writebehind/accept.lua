-- Accepts changes of rows in their order: of each its new state and a line of the journal, in one step, so that accepted means
-- journalled. One that is refused leaves the others as they are.
--
-- A partition is one hash, and so is all of it in one slot, also while that slot moves:
--   f, l     the numbers of the first and of the last line; none where f is l + 1
--   g        the number of the first line of those that came together with the first that there is, where that is another one
--   t        the tag of the last line
--   b        how many bytes lines and rows take, each line as if it had come alone
--   y        random, another one whenever lines are removed; then when that was, in fourteen digits, and for how long the last
--            of them had been under way, in milliseconds
--   p        the layout that it belongs to, once a line came; `>` and another one where it takes no more lines of any
--   j<n>     lines that came together, of which this is the number of the first, as lines.part.lua has them
--   s<id>    a row that waits: the tag of its last line, then `d` if it is to be deleted, or `s` and its bytes, or `c`, how many
--            bytes its counters take in four digits, the counters, and its bytes. They count in the place of what those say: of
--            each its name and its value, both behind their lengths
--   m<mark>  the answer to a change that may be sent again, and until when it may; in the order of q<n>, from qf to ql
-- Numbers are given out again after a failover, tags never: what is compared is the tag, 4 random bytes and when the line came.
--
-- To count further from what a row was, that has to be known: where it is not, what there is is returned, to be sent along.
-- Harmless to repeat where each change has a mark; without, one that came later would be undone.
--
-- @key partition
-- @arg layout     that the caller knows; empty not to ask
-- @arg entries    how many lines there may be
-- @arg size       how many bytes there may be
-- @arg mark_from  where fewer lines than these wait before it, the mark of a change is not kept
-- @arg tags       4 random bytes for each change
-- @arg changes... of each its words: `s`, the id, the state | `d`, the id | `i`, the id, the field of 255 bytes at most, an integer, what the field was before and the row, both empty if that is not known, and what was returned with it | `S` or `D` as these, then the tag of the letter there has to be, while nothing may wait of the row. Before them, of a change that may be sent again, or by which its caller finds out what became of it: `m`, the mark, for how many milliseconds
-- @return {0} it belongs to another layout, else {number of the first line, answers...}; each is the number of its line | {1, number, value of the counter} accepted, perhaps before | {0, lines, bytes, milliseconds until there may be room; -1 if nothing was ever removed} full | {2, expected, row} it has to be told what the counter was | {3} it would count too far | {4} the row has too many counters
local hash, layout, most, room = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local WORDS = { s = 3, d = 2, i = 7, S = 4, D = 3, m = 3 }

local wanted = { 'f', 'l', 't', 'b', 'p' }
local at = 6
-- bound: the words
while at <= #ARGV do
  local kind = ARGV[at]
  wanted[#wanted + 1] = (kind == 'm' and 'm' or 's') .. ARGV[at + 1]
  at = at + WORDS[kind]
end
local found = redis.call('HMGET', hash, unpack(wanted))
if layout ~= '' and found[5] and found[5] ~= layout then return { 0 } end
local first, last = tonumber(found[1] or 1), tonumber(found[2] or 0)
local latest, size = found[3] or string.rep('\0', 8), tonumber(found[4] or 0)

-- What is different by now, and of rows in which order.
local rows, changed, marks = {}, {}, {}
local lines, fields, kept = {}, {}, {}
local before, followed = last, latest
local isKnown = false

-- When lines go the next time, if it takes as long as it did; once that is over, as late again as it is.
local function full()
  local known = redis.call('HMGET', hash, 'y', 'g')
  local removed, oldest = known[1], redis.call('HGET', hash, 'j' .. (known[2] or string.format('%.0f', first)))
  if not removed or #removed < 23 then return { 0, last - first + 1, size, -1 } end
  -- The first of all may have come with this one.
  local came = oldest and tonumber(string.sub(oldest, 9, 22)) or now
  local since = math.max(tonumber(string.sub(removed, 9, 22)), came)
  return { 0, last - first + 1, size, math.abs(tonumber(string.sub(removed, 23)) - (now - since)) }
end

-- The row as it is once it is counted, without its tag, and the value; or why it is not.
local function counted(row, field, by, value, bytes, expected)
  local kind, others, count = string.sub(row, 9, 9), '', nil
  local counters = ''
  local state = string.sub(row, 10)
  if kind == 'c' then
    local length = tonumber(string.sub(row, 10, 13))
    counters, state = string.sub(row, 14, 13 + length), string.sub(row, 14 + length)
  end
  local start = 1
  -- bound: the counters that fit
  while start <= #counters do
    local named = start + string.byte(counters, start)
    local ends = named + 1 + string.byte(counters, named + 1)
    if string.sub(counters, start + 1, named) == field then
      count = string.sub(counters, named + 2, ends)
    else
      others = others .. string.sub(counters, start, ends)
    end
    start = ends + 1
  end
  if not count then
    -- What is not there has no tag of its own: whether it has come and gone meanwhile, the removals of lines tell.
    local known = row ~= '' and string.sub(row, 1, 8) or 'y' .. (redis.call('HGET', hash, 'y') or '')
    if value == '' or expected ~= known then
      return nil, { 2, known, row == '' and '' or (kind == 'd' and 'd' or 's' .. state) }
    end
    if #others > 4096 then return nil, { 4 } end
    count, state = value, bytes
  end
  local sum = tonumber(count) + tonumber(by)
  if math.abs(sum) > 9007199254740991 then return nil, { 3 } end
  local text = string.format('%.0f', sum)
  counters = others .. string.char(#field) .. field .. string.char(#text) .. text
  return 'c' .. string.format('%04d', #counters) .. counters .. state, text
end

-- A call that is sent again after a failover brings the same bytes: its line is not to pass for the one that was taken back. In
-- seven bits each, as those.
local micros = tonumber(time[1]) % 256 * 1000000 + tonumber(time[2])
local tried = string.char(math.floor(micros / 2097152), math.floor(micros / 16384) % 128, math.floor(micros / 128) % 128, micros % 128)
local moment = '0' .. time[1] .. string.sub('00000' .. time[2], -6, -4)
local reply = { first }
local nth, place = 0, 6
at = 6
-- bound: the words
while at <= #ARGV do
  local kind, mark, markMs = ARGV[at], nil, nil
  local answer
  if kind == 'm' then
    mark, markMs = ARGV[at + 1], ARGV[at + 2]
    -- Fourteen digits, as many as a moment has until the year 5138; then the line, as long; then the value.
    local known = marks[mark] or found[place]
    if known and tonumber(string.sub(known, 1, 14)) > now then
      answer = { 1, tonumber(string.sub(known, 15, 28)), string.sub(known, 29) }
      isKnown = true
    end
    place = place + 1
    at = at + 3
    kind = ARGV[at]
  end
  local id, field = ARGV[at + 1], wanted[place]
  local row = rows[field] or found[place] or ''
  place = place + 1
  nth = nth + 1
  -- What there is of the row by now, and its tag before it.
  local after, state, value = nil, '', nil
  if answer then
    -- It was accepted before.
  elseif last - first + 1 >= most or size >= room then
    answer = full()
  elseif kind == 's' then
    after, state = 's', ARGV[at + 2]
  elseif kind == 'd' then
    after = 'd'
  elseif kind == 'i' then
    after, value = counted(row, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    if not after then answer = value end
  else
    local letter = redis.call('HGET', hash, 'x' .. id) or ''
    if row ~= '' or string.sub(letter, 15, 22) ~= ARGV[at + (kind == 'S' and 3 or 2)] then
      answer = { 2, string.sub(row, 1, 8), '' }
    elseif kind == 'S' then
      after, state = 's', ARGV[at + 2]
    else
      after = 'd'
    end
  end
  if after then
    local grown = size + 34 + #id + 8 + #after + #state - #row
    -- What is larger than all that may wait has its turn once nothing does.
    if grown > room and last >= first then
      answer = full()
    else
      size = grown
      last = last + 1
      local tag = string.sub(ARGV[5], 4 * nth - 3, 4 * nth) .. tried
      if not rows[field] then changed[#changed + 1] = field end
      rows[field] = tag .. after .. state
      lines[#lines + 1] = tag .. string.char(math.floor(#id / 256), #id % 256) .. id
      latest = tag
      answer = last
      if value then answer = { 1, last, value } end
      if mark and last - first >= tonumber(ARGV[4]) then
        marks[mark] = string.format('%014.0f%014.0f', now + tonumber(markMs), last) .. (value or '')
        kept[#kept + 1] = mark
      end
    end
  end
  reply[#reply + 1] = answer
  at = at + WORDS[kind]
end

if last > before then
  -- bound: the changes
  for i = 1, #changed do
    fields[#fields + 1] = changed[i]
    fields[#fields + 1] = rows[changed[i]]
  end
  if not found[1] then
    fields[#fields + 1] = 'f'
    fields[#fields + 1] = '1'
  end
  if not found[5] and layout ~= '' then
    fields[#fields + 1] = 'p'
    fields[#fields + 1] = layout
  end
  redis.call('HSET', hash, 'l', string.format('%.0f', last), 't', latest, 'b', string.format('%.0f', size),
    'j' .. string.format('%.0f', before + 1),
    followed .. moment .. string.char(math.floor(#lines / 256), #lines % 256) .. table.concat(lines), unpack(fields))
elseif isKnown then
  -- As it is: who waits for replicas or a disk waits for what its own connection has written, and nothing of it was. There is
  -- no field `w`, but a server whose memory is full lets a script go on that has begun with what needs none.
  redis.call('HDEL', hash, 'w')
  redis.call('HSET', hash, 'l', string.format('%.0f', last))
end

if #kept > 0 then
  local queue = redis.call('HMGET', hash, 'qf', 'ql')
  local head, tail = tonumber(queue[1] or 1), tonumber(queue[2] or 0)
  fields = {}
  -- bound: the changes
  for i = 1, #kept do
    tail = tail + 1
    fields[#fields + 1] = 'm' .. kept[i]
    fields[#fields + 1] = marks[kept[i]]
    fields[#fields + 1] = 'q' .. string.format('%.0f', tail)
    fields[#fields + 1] = kept[i]
  end
  redis.call('HSET', hash, 'ql', string.format('%.0f', tail), unpack(fields))
  -- Two go for each that comes, so they are as many as came within their time. bound: two for each change
  for _ = 1, 2 * #kept do
    local oldest_at = 'q' .. string.format('%.0f', head)
    local oldest = redis.call('HGET', hash, oldest_at)
    local known = oldest and redis.call('HGET', hash, 'm' .. oldest)
    if oldest and (not known or tonumber(string.sub(known, 1, 14)) <= now) then
      redis.call('HDEL', hash, oldest_at, 'm' .. oldest)
      head = head + 1
    end
  end
  redis.call('HSET', hash, 'qf', string.format('%.0f', head))
end
return reply
