// Generated from expire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'keep_ms'> = {
  name: 'cache/next/expire',
  keys: ['tag'],
  args: ['keep_ms'],
  sha1: '9da60449c58832406e9359727d031e881da0d5c7',
  source: "\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal at = string.format('%.0f', now)\n\nredis.call('DEL', KEYS[1])\nredis.call('HSET', KEYS[1], 'c', at, 'h', at)\nredis.call('PEXPIRE', KEYS[1], ARGV[1])\nreturn 1\n",
}
export default script
