-- Decides a request by all token buckets of a subject at once: every bucket gives its tokens, or none does.
--
-- A bucket is one number, the theoretical arrival time of GCRA: the moment at which it will be full again. All
-- of a subject's buckets are doubles in one string, behind the layout they were written under; other layouts
-- are forgotten. Times are whole microseconds since 2024, far below 2^53, and compare exactly.
-- A refusal writes nothing, so it neither costs a token nor pushes the caller's turn further away.
-- Price: one round trip, one key.
--
-- @key state
-- @arg layout  which buckets these are: 8 bytes, other for other names or kinds
-- @arg plan    for each bucket two doubles: microseconds from empty to full, microseconds that this request takes
-- @return {1 admitted or 0 refused, then for each bucket the microseconds until it is full: after, or at a refusal}
local layout, plan = ARGV[1], ARGV[2]

-- The server's clock: the callers' clocks disagree, and would share one bucket.
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1704067200) * 1000000 + tonumber(time[2])

local saved = redis.call('GET', KEYS[1])
local known = saved and #saved == 8 + #plan / 2 and string.sub(saved, 1, 8) == layout

local admitted, taken, full = 1, 0, 0
local reply, record = { 1 }, { layout }
-- bound: the buckets of one policy, 16 bytes each
for at = 1, #plan, 16 do
  local depth, cost = struct.unpack('>dd', plan, at)
  local arrival = now
  if known then
    arrival = struct.unpack('>d', saved, 8 + (at + 1) / 2)
    -- A promoted replica's clock may be behind: nobody waits for longer than an empty bucket takes to fill.
    if arrival > now + depth then arrival = now + depth end
    if arrival < now then arrival = now end
  end
  local after = arrival + cost
  -- What is given back fills a bucket, and never more than that.
  if after < now then after = now end
  if cost > 0 and after - now > depth then admitted = 0 end
  if after > full then full = after end
  if cost ~= 0 then taken = 1 end
  reply[#reply + 1] = after - now
  record[#record + 1] = struct.pack('>d', after)
end

if admitted == 0 then
  reply[1] = 0
  -- bound: the buckets of one policy, 16 bytes each
  for at = 1, #plan, 16 do
    local _, cost = struct.unpack('>dd', plan, at)
    local bucket = (at + 15) / 16 + 1
    reply[bucket] = reply[bucket] - cost
  end
elseif taken > 0 then
  -- When the last bucket is full, no record and a full one are the same.
  redis.call('SET', KEYS[1], table.concat(record), 'PX', math.max(1, math.ceil((full - now) / 1000)))
end
return reply
