// Generated from look.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'id'> = {
  name: 'writebehind/look',
  keys: ['partition'],
  args: ['id'],
  sha1: 'f880c87ce4c4dbb6c03943b7347feb73b02fbc4f',
  source: "\n\n\n\n\nlocal row = redis.call('HMGET', KEYS[1], 's' .. ARGV[1], 'n' .. ARGV[1])\nlocal told = {row[1] or ''}\nlocal names = row[2] or ''\nlocal at = 1\n\nwhile at <= #names do\n  local upTo = at + string.byte(names, at)\n  told[#told + 1] = string.sub(names, at + 1, upTo)\n  told[#told + 1] = redis.call('HGET', KEYS[1], 'c' .. string.sub(names, at, upTo) .. ARGV[1]) or ''\n  at = upTo + 1\nend\nreturn told\n",
}
export default script
