-- Lets what a decision added to concurrency tiers last for another `ttlMs` from now.
--
-- @key state
-- @arg plan   as of the decision
-- @arg lease  6 bytes of what the decision added
-- @return 1 renewed, 0 it has ended, or was released
local plan, lease = ARGV[1], ARGV[2]
local _, parts, layout, place = struct.unpack('>BBI4', plan)
local saved = redis.call('GET', KEYS[1])
if not saved or #saved < 12 + parts * 8 or struct.unpack('>I4', saved) ~= layout then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local _, written = struct.unpack('>I4d', saved)
-- A clock that has stepped back is told by the next decision, which then moves every entry by as much.
local from = math.max(now, written)

local ttl, renewed = redis.call('PTTL', KEYS[1]), 0
local shares = string.byte(plan) > 1
local at, list = 13, 13 + parts * 8
if string.sub(saved, list + 8, list + 15) == '\0\0\0\0\0\0\0\0' then list = list + 16 end
-- bound: the tiers of one policy, 20 bytes each
while place < #plan do
  local kind = string.byte(plan, place)
  local width = struct.unpack('>I6', plan, place + 6)
  place = place + (kind == 6 and 32 or 20)
  if shares then at = at + 8 end
  if kind > 7 then
    local count = struct.unpack('>I4', saved, at)
    local last = list + 16 * count
    -- bound: the entries of one tier
    for entry = list, kind == 9 and last - 1 or 0, 16 do
      local ending = struct.unpack('>d', saved, entry)
      if string.sub(saved, entry + 10, entry + 15) == lease and ending > now then
        -- To the end, where the entry that ends last is.
        local mended = struct.pack('>d', from + width) .. string.sub(saved, entry + 8, entry + 15)
        saved = string.sub(saved, 1, entry - 1) .. string.sub(saved, entry + 16, last - 1) .. mended .. string.sub(saved, last)
        ttl, renewed = math.max(ttl, math.ceil(width / 1000)), 1
        break
      end
    end
    list = last
  end
  at = at + ((kind == 1 or kind == 3 or kind == 4) and 16 or 8)
end
if renewed == 1 then redis.call('SET', KEYS[1], saved, 'PX', math.max(1, ttl)) end
return renewed
