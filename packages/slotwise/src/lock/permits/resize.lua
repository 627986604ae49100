-- Changes how many permits there are of a resource that is in use. Nobody who holds some loses them; of those who wait as many
-- are told as there is room for. Harmless to repeat.
--
-- @key lock
-- @arg permits  how many there are from now on, up to 1000
-- @return 1 changed | 0 nobody uses the resource, so that the next to do so says how many there are
-- include: turns.part.lua
-- include: keep.part.lua
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local saved = redis.call('HMGET', KEYS[1], 'o', 'q')
local permits = tonumber(ARGV[1])
local held, line, _, _, latest, told = turns({}, { saved[1] or '', saved[2] or '', permits, now })
if held == '' and line == '' then return 0 end
redis.call('HDEL', KEYS[1], 'w')
keep({ KEYS[1] }, { held, line, permits, math.max(latest - now, redis.call('PTTL', KEYS[1])), told })
return 1
