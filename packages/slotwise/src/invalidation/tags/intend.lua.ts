// Generated from intend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'token' | 'intent_ms'> = {
  name: 'invalidation/tags/intend',
  keys: ['tag'],
  args: ['token', 'intent_ms'],
  sha1: '830790b2900f93115bfe02915f94af035f28c887',
  source: "\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal ends = now + tonumber(ARGV[2])\nlocal intent = 'w:' .. ARGV[1]\nlocal latest = math.max(ends, tonumber(redis.call('HGET', KEYS[1], 'm') or 0))\n\n\n\nredis.call('HDEL', KEYS[1], intent)\nredis.call('HSET', KEYS[1], intent, string.format('%.0f', ends), 'm', string.format('%.0f', latest))\nredis.call('HDEL', KEYS[1], 'v')\nredis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))\nreturn 1\n",
}
export default script
