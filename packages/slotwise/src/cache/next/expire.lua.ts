// Generated from expire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'change' | 'keep_ms'> = {
  name: 'cache/next/expire',
  keys: ['tag'],
  args: ['change', 'keep_ms'],
  sha1: '6b08534f8a968875fb341b8a558564e0f85991f1',
  source: "\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal at = string.format('%.0f', now)\n\nredis.call('DEL', KEYS[1])\nredis.call('HSET', KEYS[1], 'c', at, 'h', at, 'i', ARGV[1])\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nreturn 1\n",
}
export default script
