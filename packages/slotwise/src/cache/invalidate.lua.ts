// Generated from invalidate.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'keep_ms'> = {
  name: 'cache/invalidate',
  keys: ['entry'],
  args: ['keep_ms'],
  sha1: '4fa5845c963912cbebe6df3ada7bb1cbc376a5f8',
  source: "\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'n', 'o')\nlocal value = saved[1] or saved[3]\nlocal lives = saved[1] and tonumber(ARGV[1]) or redis.call('PTTL', KEYS[1])\nlocal there = 1\nif value and lives > 0 then\n\n\n  redis.call('PEXPIRE', KEYS[1], lives)\n  redis.call('HSET', KEYS[1], 'o', value)\n  local fields = redis.call('HKEYS', KEYS[1])\n\n  for i = 1, #fields do\n    if fields[i] ~= 'o' then redis.call('HDEL', KEYS[1], fields[i]) end\n  end\nelse\n  there = redis.call('DEL', KEYS[1])\nend\nif saved[2] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn there\n",
}
export default script
