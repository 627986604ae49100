// Generated from acquire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'ttl_ms' | 'retain_ms'> = {
  name: 'lock/acquire',
  keys: ['lock'],
  args: ['owner', 'ttl_ms', 'retain_ms'],
  sha1: '2b38d316ba3c5dc5d76ef7037a65560ed1a87af8',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\nlocal ttl = tonumber(ARGV[2])\n\n\nlocal time = redis.call('TIME')\nlocal seconds, micros = tonumber(time[1]), tonumber(time[2])\nlocal now = seconds * 1000 + math.floor(micros / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f')\nlocal ends, token = tonumber(saved[2]), tonumber(saved[3]) or 0\nif saved[1] and ends > now then\n  if saved[1] == ARGV[1] then return { 1, saved[3], ends - now } end\n  return { 0, saved[3], ends - now }\nend\n\ntoken = math.max(token + 1, seconds * 1000000 + micros)\n\nlocal text = string.format('%.0f', token)\n\n\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', string.format('%.0f', now + ttl), 'f', text)\nredis.call('PEXPIRE', KEYS[1], ttl + tonumber(ARGV[3]))\nreturn { 1, text, ttl }\n",
}
export default script
