// Generated from extend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'ttl_ms' | 'retain_ms'> = {
  name: 'lock/extend',
  keys: ['lock'],
  args: ['owner', 'ttl_ms', 'retain_ms'],
  sha1: '94db14cd560cf4e0e4abcd61ffd816174327f594',
  source: "\n\n\n\n\n\n\n\nlocal ttl = tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e')\nif saved[1] ~= ARGV[1] then return -1 end\nif tonumber(saved[2]) <= now then return 0 end\n\nredis.call('PEXPIRE', KEYS[1], ttl + tonumber(ARGV[3]))\nredis.call('HSET', KEYS[1], 'e', string.format('%.0f', now + ttl))\nreturn 1\n",
}
export default script
