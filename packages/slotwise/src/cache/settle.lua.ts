// Generated from settle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'store' | 'bytes' | 'ttl_ms'> = {
  name: 'cache/settle',
  keys: ['entry'],
  args: ['token', 'store', 'bytes', 'ttl_ms'],
  sha1: 'e6b1d5f5a80b9bfb4003acccc37e9aa3c2af1cc1',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal intent = 'w:' .. ARGV[1]\nlocal saved = redis.call('HMGET', KEYS[1], intent, 'c')\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal ends = tonumber(saved[1])\nif ARGV[2] == '1' and ends and now < ends and not saved[2] then\n\n  redis.call('HSET', KEYS[1], 'v', ARGV[3])\n  redis.call('HDEL', KEYS[1], intent, 'm')\n  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n  return 1\nend\n\nredis.call('HDEL', KEYS[1], intent)\nlocal latest = 0\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' then latest = math.max(latest, tonumber(fields[i + 1])) end\nend\nif latest <= now then\n  redis.call('DEL', KEYS[1])\nelse\n\n\n  redis.call('HSET', KEYS[1], 'c', '1', 'm', string.format('%.0f', latest))\n  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))\nend\nreturn 0\n",
}
export default script
