-- Counts a hit in a window that begins with the first one, and tells how much of the window is left.
--
-- The window is the life of the key, by the server's clock. A key without an end, whoever made it, is given one.
-- Price: one round trip, one key.
--
-- @key hits
-- @arg window_ms how long a window is
-- @arg max       how many hits are not yet too many
-- @arg beyond    what too many do: 0 nothing, 1 begin the window anew, 2 do so, each twice as long as the one before
-- @return {hits, milliseconds until the window ends}
local window, max, beyond = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local hits = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
local over = hits - max
if left < 0 or (beyond == 1 and over > 0) then
  left = window
elseif beyond == 2 and over > 0 then
  -- A year: doubling goes beyond all numbers, and nobody waits for longer.
  left = math.max(window, math.min(window * 2 ^ (over - 1), 31536000000))
else
  return { hits, left }
end
redis.call('PEXPIRE', KEYS[1], left)
return { hits, left }
