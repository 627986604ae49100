// Generated from acquire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'lease_ms' | 'seen' | 'wake'> = {
  name: 'cache/acquire',
  keys: ['entry'],
  args: ['token', 'lease_ms', 'seen', 'wake'],
  sha1: '40748aba921aa8e6beaf038e820549d66b7afd97',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nlocal token, lease = ARGV[1], tonumber(ARGV[2])\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'd', 'm', 'x')\nlocal lives = redis.call('PTTL', KEYS[1])\nlocal left = lives - (tonumber(saved[4]) or 0)\nlocal usable = saved[1] and left > 0\n\nif usable and string.sub(saved[1], 6, 13) ~= ARGV[3] then return {0, saved[1], left} end\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal deadline, written = tonumber(saved[2]), tonumber(saved[3])\nif written and now < written then return {3, written - now} end\nif deadline and now < deadline then\n  if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'n', '1') end\n  return {2, deadline - now}\nend\n\n\nredis.call('HSET', KEYS[1], 'l', token, 'd', string.format('%.0f', now + lease))\nredis.call('HDEL', KEYS[1], 'm', 'c', 'n')\nif usable then\n\n  if lives < lease then\n    redis.call('HSET', KEYS[1], 'x', string.format('%.0f', lease - left))\n    redis.call('PEXPIRE', KEYS[1], lease)\n  end\nelse\n  redis.call('HDEL', KEYS[1], 'v', 'x')\n  redis.call('PEXPIRE', KEYS[1], math.max(lease, lives))\nend\nreturn {1, lease}\n",
}
export default script
