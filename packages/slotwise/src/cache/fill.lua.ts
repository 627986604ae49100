// Generated from fill.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'bytes' | 'ttl_ms'> = {
  name: 'cache/fill',
  keys: ['entry'],
  args: ['token', 'bytes', 'ttl_ms'],
  sha1: '36d6ddb5aab6bbd1bea5e60a64f49be6351cd7d0',
  source: "\n\n\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'l', 'd', 'n')\nif saved[1] ~= ARGV[1] then return 0 end\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nif now >= tonumber(saved[2]) then return 0 end\n\n\nredis.call('HSET', KEYS[1], 'v', ARGV[2])\nredis.call('HDEL', KEYS[1], 'l', 'd', 'x', 'o', 'n', 'r')\nredis.call('PEXPIRE', KEYS[1], ARGV[3])\n\nif saved[3] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn 1\n",
}
export default script
