-- What a tag is to something that was made before: whether it still has the version that it had then; if not, how much
-- longer what bears that version may be served while the next is made; and how long ago it changed.
--
-- A tag is a hash, with times of this server in ms:
--   v  its version    c  when it last changed    i  by which change    h  when everything that bore it ended
--   t:<version>  when that former version ended    g:<version>  until when what bears it may be served
-- Nothing is written.
--
-- @key tag
-- @arg version what is borne, or empty for what bears none
-- @return {1 or 0, ms that are left, ms since the last change or -1}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local saved = redis.call('HMGET', KEYS[1], 'v', 'c', 'g:' .. ARGV[1])
local current, left, since = 0, 0, -1

if saved[1] == ARGV[1] then current = 1 end
if saved[3] then left = math.max(0, tonumber(saved[3]) - now) end
-- A clock that went back makes it just now, which ends more than it must and never less.
if saved[2] then since = math.max(0, now - tonumber(saved[2])) end
return {current, left, since}
