// Generated from extend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'ttl_ms' | 'longest_ms'> = {
  name: 'lock/extend',
  keys: ['lock'],
  args: ['owner', 'ttl_ms', 'longest_ms'],
  sha1: '18adc94a4ff0a2e3add8a180dff6531234a540ca',
  source: "\n\n\n\n\n\n\n\n\nlocal RETAIN_MS = 60000\nlocal ttl = tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'h')\n\nif saved[1] ~= ARGV[1] or not saved[3] then return -1 end\nif tonumber(saved[2]) <= now then return 0 end\nif saved[4] then ttl = ttl + RETAIN_MS end\n\n\nredis.call('PEXPIRE', KEYS[1], math.max(ttl, redis.call('PTTL', KEYS[1])))\nlocal ends = math.max(now + tonumber(ARGV[2]), math.min(tonumber(saved[2]), now + tonumber(ARGV[3])))\nredis.call('HSET', KEYS[1], 'e', string.format('%.0f', ends))\nreturn 1\n",
}
export default script
