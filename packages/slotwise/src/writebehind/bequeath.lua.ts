// Generated from bequeath.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'sealed' | 'letters...'> = {
  name: 'writebehind/bequeath',
  keys: ['partition'],
  args: ['sealed', 'letters...'],
  sha1: 'f41de32755d48889fa37676c22668d93a1e0dd78',
  source: "\n\n\n\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal meta = redis.call('HMGET', hash, 'p', 'c')\nif meta[1] ~= ARGV[1] then return 0 end\n\nredis.call('HDEL', hash, 'w')\nlocal count = tonumber(meta[2] or 0)\n\nfor at = 2, #ARGV - 2, 3 do\n  local id = ARGV[at]\n  local letter = redis.call('HGET', hash, 'x' .. id)\n  local place = letter and string.sub(letter, 1, 14)\n  if not place then\n    count = count + 1\n    place = string.format('%014.0f', count)\n    redis.call('HSET', hash, 'i' .. string.format('%.0f', count), id, 'c', string.format('%.0f', count))\n  end\n  redis.call('HSET', hash, 'x' .. id, place .. ARGV[at + 1] .. ARGV[at + 2])\nend\nreturn 1\n",
}
export default script
