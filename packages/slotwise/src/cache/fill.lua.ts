// Generated from fill.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'bytes' | 'ttl_ms'> = {
  name: 'cache/fill',
  keys: ['entry'],
  args: ['token', 'bytes', 'ttl_ms'],
  sha1: '860cb222f06876e64cf01285e331342d10d14fd8',
  source: "\n\n\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'l', 'd')\nif saved[1] ~= ARGV[1] then return 0 end\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nif now >= tonumber(saved[2]) then return 0 end\n\n\nredis.call('HSET', KEYS[1], 'v', ARGV[2])\nredis.call('HDEL', KEYS[1], 'l', 'd')\nredis.call('PEXPIRE', KEYS[1], ARGV[3])\nreturn 1\n",
}
export default script
