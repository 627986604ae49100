-- Lines of a journal that came together, as accept.lua has them at j<n>: the tag of the line before them, when they came in fourteen
-- digits, how many there are in two bytes; then of each its tag, how long the id is in two bytes, and the id.
--
-- @arg chunk  these bytes
-- @return tags, ids
local chunk = ARGV[1]
local tags, ids = {}, {}
local at = 25
-- bound: the lines that one script accepts
while at <= #chunk do
  local ends = at + 9 + string.byte(chunk, at + 8) * 256 + string.byte(chunk, at + 9)
  tags[#tags + 1] = string.sub(chunk, at, at + 7)
  ids[#ids + 1] = string.sub(chunk, at + 10, ends)
  at = ends + 1
end
return tags, ids
