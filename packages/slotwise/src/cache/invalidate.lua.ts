// Generated from invalidate.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'keep_ms'> = {
  name: 'cache/invalidate',
  keys: ['entry'],
  args: ['keep_ms'],
  sha1: '85dda407d8a52520c98f62e86993c28dabe90f1d',
  source: "\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'n', 'o')\nlocal value = saved[1] or saved[3]\nlocal lives = saved[1] and tonumber(ARGV[1]) or redis.call('PTTL', KEYS[1])\nlocal there = redis.call('DEL', KEYS[1])\nif value and lives > 0 then\n  redis.call('HSET', KEYS[1], 'o', value)\n  redis.call('PEXPIRE', KEYS[1], lives)\nend\nif saved[2] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn there\n",
}
export default script
