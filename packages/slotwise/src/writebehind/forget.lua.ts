// Generated from forget.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'owner' | 'ids...'> = {
  name: 'writebehind/forget',
  keys: ['partition'],
  args: ['owner', 'ids...'],
  sha1: '4438e7a632ce28a40caef68873761512fe52eb2d',
  source: "\n\n\n\n\n\n\nlocal hash, owner = KEYS[1], ARGV[1]\nlocal meta = redis.call('HMGET', hash, 'c', 'o')\nlocal known = meta[2] or ''\nif string.sub(known, 1, 1) == string.sub(owner, 1, 1) and owner ~= '' and\n  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then\n  return -1\nend\n\nredis.call('HDEL', hash, 'w')\nlocal before = tonumber(meta[1] or 0)\nlocal count = before\nlocal gone = {}\n\nfor at = 2, #ARGV do\n  local id = ARGV[at]\n  local letter = redis.call('HGET', hash, 'x' .. id)\n  if letter and not gone[id] then\n    gone[id] = true\n    local place, last = string.sub(letter, 1, 14), 'i' .. string.format('%.0f', count)\n    local name = redis.call('HGET', hash, last)\n    if name and name ~= id then\n      local moved = redis.call('HGET', hash, 'x' .. name) or ''\n      redis.call('HSET', hash, 'i' .. string.format('%.0f', tonumber(place)), name,\n        'x' .. name, place .. string.sub(moved, 15))\n    end\n    count = count - 1\n    redis.call('HSET', hash, 'c', string.format('%.0f', count))\n    redis.call('HDEL', hash, last, 'x' .. id)\n  end\nend\nreturn before - count\n",
}
export default script
