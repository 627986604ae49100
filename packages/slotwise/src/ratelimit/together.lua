-- Decides a request by the tiers of two keys at once: all of both give what is asked, or none of either gives anything.
--
-- Each is decided as decide.lua does, which says what a record is and what is written of a refusal. By which a decision is known
-- again is kept at the subject's key only: of a part that many have in common the last thousand would be soon gone.
--
-- @key whole
-- @key part
-- @arg plan       of the tiers of the subject's key; see decide.lua, as of the next three
-- @arg part_plan  of those of the part that it has in common with others
-- @arg id         8 bytes by which this decision is known again
-- @arg keep       microseconds for which it is kept
-- @arg takes      whether anything is taken of either: 1 or 0
-- @arg left       how much of each tier of the subject's key is left for others; empty where nothing is
-- @arg part_left  of each of the part's
-- @return what decide.lua answers of each, of which one that gives nothing because the other does not is refused as well
-- include: decide.lua
local time, takes = redis.call('TIME'), tonumber(ARGV[5])
local whole, record, ms = decide({ KEYS[1] }, { ARGV[1], ARGV[3], ARGV[4], ARGV[6], joint = { time = time, takes = takes } })
local open = string.sub(whole, 1, 1) == '1'
local part, other, other_ms = decide({ KEYS[2] }, { ARGV[2], ARGV[3], '', ARGV[7], joint = { time = time, takes = takes, refused = not open } })
if open and string.sub(part, 1, 1) ~= '1' then
  whole, record, ms = decide({ KEYS[1] }, { ARGV[1], ARGV[3], ARGV[4], ARGV[6], joint = { time = time, takes = takes, refused = true } })
end
-- Nothing is written before both are known.
if record then redis.call('SET', KEYS[1], record, 'PX', ms) end
if other then redis.call('SET', KEYS[2], other, 'PX', other_ms) end
return { whole, part }
