-- Accepts one change of one row: its new state and a line of the journal, in one step, so that accepted means journalled.
--
-- A partition is one hash, and so is all of it in one slot, also while that slot moves:
--   f, l     the numbers of the first and of the last line; none where f is l + 1
--   t        the tag of the last line
--   b        how many bytes lines and states take
--   y        random, another one whenever lines are removed; then when that was, in fourteen digits, and for how long the last
--            of them had been under way, in milliseconds
--   j<n>     a line: its tag, the tag of the line before, when it came in fourteen digits, the id
--   s<id>    the state of a row that waits: `s` and its bytes, or `d` if it is to be deleted
--   n<id>    its counters, which count in the place of what its bytes say: of each its name and its value, both behind their
--            lengths
--   g<id>    the tag of the row's last line
--   m<mark>  the answer to a change that may be sent again, and until when it may; in the order of q<n>, from qf to ql
-- Numbers are given out again after a failover, tags never: what is compared is the tag.
--
-- To count further from what a row was, that has to be known: where it is not, what there is is returned, to be sent along.
-- Harmless to repeat with a mark; without one a change that came later would be undone.
--
-- @key partition
-- @arg kind      `s` to set, `d` to delete, `i` to increment
-- @arg id        of the row
-- @arg tag       8 random bytes
-- @arg bytes     the state; of an increment, what the row was before
-- @arg field     of an increment, 255 bytes at most
-- @arg by        an integer
-- @arg start     of an increment, what the field was before, empty if that is not known; else `idle` if nothing may wait of the row, and there has to be a letter of it
-- @arg expected  what was returned with what there was; of `idle` the tag of the letter
-- @arg entries   how many lines there may be
-- @arg size      how many bytes there may be
-- @arg mark      of a change that may be sent again, or by which its caller finds out what became of it; empty for none
-- @arg mark_ms   for how long it may
-- @arg mark_from where fewer lines than these wait before it, the mark is not kept
-- @return {1, number of the line, value of the counter, how many wait up to it} accepted | {0, lines, bytes, milliseconds until there may be room; -1 if nothing was ever removed} full | {2, expected, state} it has to be told what the counter was | {3} it would count too far | {4} the row has too many counters
local hash, kind, id, tag = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local mark = ARGV[11]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if mark ~= '' then
  local known = redis.call('HGET', hash, 'm' .. mark)
  -- Fourteen digits, as many as a moment has until the year 5138; then the line, as long; then the value.
  if known and tonumber(string.sub(known, 1, 14)) > now then
    local at = tonumber(string.sub(known, 15, 28))
    local ends = redis.call('HMGET', hash, 'f', 'l')
    -- As it is: who waits for replicas or a disk waits for what its own connection has written, and nothing of it was. There is
    -- no field `w`, but a server whose memory is full lets a script go on that has begun with what needs none.
    redis.call('HDEL', hash, 'w')
    redis.call('HSET', hash, 'l', ends[2] or '0')
    return {1, at, string.sub(known, 29), at - tonumber(ends[1] or 1) + 1}
  end
end

local meta = redis.call('HMGET', hash, 'f', 'l', 't', 'b', 's' .. id, 'n' .. id, 'g' .. id)
local first = tonumber(meta[1] or 1)
local number = tonumber(meta[2] or 0) + 1
local size = tonumber(meta[4] or 0)
local state, counters, latest = meta[5] or '', meta[6] or '', meta[7]

-- When lines go the next time, if it takes as long as it did; once that is over, as late again as it is.
local function full()
  local removed = redis.call('HGET', hash, 'y')
  local oldest = redis.call('HGET', hash, 'j' .. string.format('%.0f', first))
  if not removed or #removed < 23 or not oldest then return {0, number - first, size, -1} end
  local since = math.max(tonumber(string.sub(removed, 9, 22)), tonumber(string.sub(oldest, 17, 30)))
  return {0, number - first, size, math.abs(tonumber(string.sub(removed, 23)) - (now - since))}
end
if number - first >= tonumber(ARGV[9]) or size >= tonumber(ARGV[10]) then return full() end

local value = ''
local after = kind .. ARGV[4]
local counted = ''
if kind == 'i' then
  local field = ARGV[5]
  local count
  local at = 1
  -- bound: the counters that fit
  while at <= #counters do
    local named = at + string.byte(counters, at)
    local ends = named + 1 + string.byte(counters, named + 1)
    if string.sub(counters, at + 1, named) == field then
      count = string.sub(counters, named + 2, ends)
    else
      counted = counted .. string.sub(counters, at, ends)
    end
    at = ends + 1
  end
  after = state
  if not count then
    -- What is not there has no tag of its own: whether it has come and gone meanwhile, the removals of lines tell.
    local expected = latest or 'y' .. (redis.call('HGET', hash, 'y') or '')
    if ARGV[7] == '' or ARGV[8] ~= expected then
      return {2, expected, state}
    end
    if #counted > 4096 then return {4} end
    count = ARGV[7]
    after = 's' .. ARGV[4]
  end
  local sum = tonumber(count) + tonumber(ARGV[6])
  if math.abs(sum) > 9007199254740991 then return {3} end
  value = string.format('%.0f', sum)
  counted = counted .. string.char(#field) .. field .. string.char(#value) .. value
elseif ARGV[7] == 'idle' then
  local letter = redis.call('HGET', hash, 'x' .. id) or ''
  if latest or string.sub(letter, 15, 22) ~= ARGV[8] then return {2, latest or '', state} end
end

local line = string.format('%.0f', number)
size = size + 30 + #id + #after - #state + #counted - #counters
-- What is larger than all that may wait has its turn once nothing does.
if size > tonumber(ARGV[10]) and number > first then
  size = tonumber(meta[4] or 0)
  return full()
end
local fields = {'l', line, 't', tag, 'b', string.format('%.0f', size), 'g' .. id, tag,
  'j' .. line, tag .. (meta[3] or string.rep('\0', 8)) .. string.format('%014.0f', now) .. id}
local function set(field, to)
  fields[#fields + 1] = field
  fields[#fields + 1] = to
end
if after ~= state then set('s' .. id, after) end
if counted ~= '' then set('n' .. id, counted) end
if not meta[1] then set('f', '1') end
redis.call('HSET', hash, unpack(fields))
if counted == '' and counters ~= '' then redis.call('HDEL', hash, 'n' .. id) end
if mark ~= '' and number - first >= tonumber(ARGV[13]) then
  local ends = now + tonumber(ARGV[12])
  local queue = redis.call('HMGET', hash, 'qf', 'ql')
  local head, tail = tonumber(queue[1] or 1), tonumber(queue[2] or 0) + 1
  redis.call('HSET', hash, 'm' .. mark, string.format('%014.0f%014.0f', ends, number) .. value,
    'q' .. string.format('%.0f', tail), mark, 'ql', string.format('%.0f', tail))
  -- Two go for each that comes, so they are as many as came within their time. bound: 2
  for _ = 1, 2 do
    local place = 'q' .. string.format('%.0f', head)
    local oldest = redis.call('HGET', hash, place)
    local answer = oldest and redis.call('HGET', hash, 'm' .. oldest)
    if oldest and (not answer or tonumber(string.sub(answer, 1, 14)) <= now) then
      redis.call('HDEL', hash, place, 'm' .. oldest)
      head = head + 1
    end
  end
  redis.call('HSET', hash, 'qf', string.format('%.0f', head))
end
return {1, number, value, number - first + 1}
