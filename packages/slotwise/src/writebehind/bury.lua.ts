// Generated from bury.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'owner' | 'upto' | 'letters...'> = {
  name: 'writebehind/bury',
  keys: ['partition'],
  args: ['owner', 'upto', 'letters...'],
  sha1: '1df14a56d9f90a1be8ee00adfd695d13c850711c',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\n\nlocal hash, owner = KEYS[1], ARGV[1]\nlocal meta = redis.call('HMGET', hash, 'l', 't', 'c', 'o')\nlocal known = meta[4] or ''\nif string.sub(known, 1, 1) == string.sub(owner, 1, 1) and\n  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then\n  return {0}\nend\n\nredis.call('HDEL', hash, 'w')\nlocal count = tonumber(meta[3] or 0)\nlocal reply = {1, tonumber(meta[1] or 0), meta[2] or string.rep('\\0', 8)}\n\nfor at = 3, #ARGV - 2, 3 do\n  local id, tag = ARGV[at], ARGV[at + 1]\n  if string.sub(redis.call('HGET', hash, 's' .. id) or '', 1, 8) == tag then\n    local letter = redis.call('HGET', hash, 'x' .. id)\n    local place = letter and string.sub(letter, 1, 14)\n    if not place then\n      count = count + 1\n      place = string.format('%014.0f', count)\n      redis.call('HSET', hash, 'i' .. string.format('%.0f', count), id, 'c', string.format('%.0f', count))\n    end\n    redis.call('HSET', hash, 'x' .. id, place .. tag .. ARGV[at + 2])\n    reply[#reply + 1] = id\n  else\n    redis.call('HSET', hash, 'u' .. id, ARGV[2])\n  end\nend\nreturn reply\n",
}
export default script
