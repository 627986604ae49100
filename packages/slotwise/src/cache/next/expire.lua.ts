// Generated from expire.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'change' | 'keep_ms'> = {
  name: 'cache/next/expire',
  keys: ['tag'],
  args: ['change', 'keep_ms'],
  sha1: '59b77cf49d818a143dc5af8e6ce1a92ebdb70f16',
  source: "\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal at = string.format('%.0f', now)\n\n\n\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nredis.call('HSET', KEYS[1], 'c', at, 'h', at, 'i', ARGV[1])\nlocal fields = redis.call('HKEYS', KEYS[1])\n\nfor i = 1, #fields do\n  local field = fields[i]\n  if field ~= 'c' and field ~= 'h' and field ~= 'i' then redis.call('HDEL', KEYS[1], field) end\nend\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nreturn 1\n",
}
export default script
