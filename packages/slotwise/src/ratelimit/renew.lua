-- Lets what a decision added to concurrency tiers last for another `ttlMs` from now.
--
-- @key state
-- @arg plan   as of the decision
-- @arg lease  6 bytes of what the decision added
-- @return 1 renewed, 0 it has ended, or was released
-- include: pass.part.lua
local plan, lease = ARGV[1], ARGV[2]
local mode, parts, layout, place = struct.unpack('>BBI4', plan)
local saved = redis.call('GET', KEYS[1])
if not saved or #saved < 12 + parts * 8 or struct.unpack('>I4', saved) ~= layout then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] - 1704067200000000
local record, entries = pass({}, { saved, plan, now })

local ttl, renewed = redis.call('PTTL', KEYS[1]), 0
local at, list, lists = 13, 1, ''
if string.sub(entries, 9, 16) == '\0\0\0\0\0\0\0\0' then
  lists = string.sub(entries, 1, 16)
  list = 17
end
-- bound: the tiers of one policy, 20 bytes each
while place < #plan do
  local kind, width = string.byte(plan, place), struct.unpack('>I6', plan, place + 6)
  place = place + (kind == 6 and 32 or 20)
  if mode > 1 then at = at + 8 end
  if kind > 7 then
    local last, renewal = list + 16 * struct.unpack('>I4', record, at), ''
    -- bound: the entries of one tier
    for entry = list, last - 1, 16 do
      local text = string.sub(entries, entry, entry + 15)
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
  at = at + ((kind == 1 or kind == 3 or kind == 4) and 16 or 8)
end
if renewed == 0 then return 0 end
redis.call('SET', KEYS[1], record .. lists .. string.sub(entries, list), 'PX', math.max(1, ttl))
return 1
