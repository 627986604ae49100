// Generated from forget.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'owner' | 'letters...'> = {
  name: 'writebehind/forget',
  keys: ['partition'],
  args: ['owner', 'letters...'],
  sha1: 'd5a7db3114ea10fa2f7f70c84a78f85973b97bb0',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal hash, owner = KEYS[1], ARGV[1]\nlocal meta = redis.call('HMGET', hash, 'c', 'o', 'p')\nlocal kind = string.sub(owner, 1, 1)\nif kind == 'e' or kind == 't' then\n  local known = meta[2] or ''\n  if string.sub(known, 1, 1) == kind and tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then\n    return -1\n  end\nelse\n  local sealed = meta[3] or ''\n  if string.sub(sealed, 1, 1) ~= '>' then sealed = '' end\n  if owner ~= sealed then return -1 end\nend\n\nredis.call('HDEL', hash, 'w')\nlocal before = tonumber(meta[1] or 0)\nlocal count = before\nlocal gone, passed = {}, {}\n\nfor at = 2, #ARGV - 1, 2 do\n  local id, tag = ARGV[at], ARGV[at + 1]\n  local letter = redis.call('HGET', hash, 'x' .. id)\n  if letter and not gone[id] and (tag == '' or string.sub(letter, 15, 22) == tag) then\n    gone[id] = true\n    local place, last = string.sub(letter, 1, 14), 'i' .. string.format('%.0f', count)\n    local name = redis.call('HGET', hash, last)\n    if name and name ~= id then\n      local moved = redis.call('HGET', hash, 'x' .. name) or ''\n      redis.call('HSET', hash, 'i' .. string.format('%.0f', tonumber(place)), name,\n        'x' .. name, place .. string.sub(moved, 15))\n    end\n    count = count - 1\n    redis.call('HSET', hash, 'c', string.format('%.0f', count))\n    redis.call('HDEL', hash, last, 'x' .. id)\n  end\n  if tag == '' then passed[#passed + 1] = 'u' .. id end\nend\nif #passed > 0 then redis.call('HDEL', hash, unpack(passed)) end\nreturn before - count\n",
}
export default script
