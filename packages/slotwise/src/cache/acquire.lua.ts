// Generated from acquire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'lease_ms' | 'replace'> = {
  name: 'cache/acquire',
  keys: ['entry'],
  args: ['token', 'lease_ms', 'replace'],
  sha1: '158c330b9de5e71ca7992dfa8ec206152aa5021c',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nlocal token, lease = ARGV[1], tonumber(ARGV[2])\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'd', 'm')\nif saved[1] and ARGV[3] == '0' then return {0, saved[1]} end\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal deadline, written = tonumber(saved[2]), tonumber(saved[3])\nif written and now < written then return {3, written - now} end\nif deadline and now < deadline then return {2, deadline - now} end\n\n\nredis.call('HSET', KEYS[1], 'l', token, 'd', string.format('%.0f', now + lease))\nredis.call('HDEL', KEYS[1], 'v', 'm', 'c')\n\nredis.call('PEXPIRE', KEYS[1], lease)\nreturn {1, lease}\n",
}
export default script
