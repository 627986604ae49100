-- Some letters, from a place downwards. Whoever goes on from where it ended, and asks for the last first, hears of every letter
-- that was there all the time, whatever is removed meanwhile: only the last moves, and downwards. Some it may hear of twice.
--
-- @key partition
-- @arg from  the place; 0 for the last
-- @arg most  how many at most
-- @return {the next place, or 0 for none, letters...} each letter is {id, tag, what is told}
local hash = KEYS[1]
local count = tonumber(redis.call('HGET', hash, 'c') or 0)
local from = tonumber(ARGV[1])
if from == 0 or from > count then from = count end
local upTo = math.max(1, from - tonumber(ARGV[2]) + 1)
local reply = {upTo - 1}
-- bound: most
for place = from, upTo, -1 do
  local id = redis.call('HGET', hash, 'i' .. string.format('%.0f', place)) or ''
  local letter = redis.call('HGET', hash, 'x' .. id)
  if letter then reply[#reply + 1] = {id, string.sub(letter, 15, 22), string.sub(letter, 23)} end
end
return reply
