// Generated from acquire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'lease_ms' | 'replace'> = {
  name: 'cache/acquire',
  keys: ['entry'],
  args: ['token', 'lease_ms', 'replace'],
  sha1: '585f8029c3360be38b6efafb4d2ab38d070b2aef',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nlocal token, lease = ARGV[1], tonumber(ARGV[2])\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'd', 'm')\nif saved[1] and ARGV[3] == '0' then return {0, saved[1]} end\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal deadline, written = tonumber(saved[2]), tonumber(saved[3])\nif written and now < written then return {3, written - now} end\nif deadline and now < deadline then return {2, deadline - now} end\n\nredis.call('DEL', KEYS[1])\nredis.call('HSET', KEYS[1], 'l', token, 'd', string.format('%.0f', now + lease))\n\nredis.call('PEXPIRE', KEYS[1], lease)\nreturn {1, lease}\n",
}
export default script
