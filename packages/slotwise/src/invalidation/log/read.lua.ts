// Generated from read.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'log', 'after' | 'tag' | 'most'> = {
  name: 'invalidation/log/read',
  keys: ['log'],
  args: ['after', 'tag', 'most'],
  sha1: 'cc41a39a0f68b07598143ee72a772f42f09205c9',
  source: "\n\n\n\n\n\n\nlocal after = tonumber(ARGV[1])\nlocal last = tonumber(redis.call('HGET', KEYS[1], 'n') or 0)\n\nif after < 0 then\n  return {last, redis.call('HGET', KEYS[1], 't' .. string.format('%.0f', last)) or ''}\nend\nlocal tag = after == 0 and '' or redis.call('HGET', KEYS[1], 't' .. string.format('%.0f', after))\nif tag ~= ARGV[2] or after > last then return {-1} end\n\nlocal reply = {after, ARGV[2]}\n\nfor number = after + 1, math.min(last, after + tonumber(ARGV[3])) do\n  local field = string.format('%.0f', number)\n  local found = redis.call('HMGET', KEYS[1], 'e' .. field, 't' .. field)\n  if not found[1] then return {-1} end\n  reply[1] = number\n  reply[2] = found[2]\n  reply[#reply + 1] = found[1]\nend\nreturn reply\n",
}
export default script
