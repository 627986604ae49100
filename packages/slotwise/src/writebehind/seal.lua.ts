// Generated from seal.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'layout'> = {
  name: 'writebehind/seal',
  keys: ['partition'],
  args: ['layout'],
  sha1: '78e7847f2154fd684d650a7cb4ea2d5e00d76b05',
  source: "\n\n\n\n\n\n\n\n\nlocal was = redis.call('HGET', KEYS[1], 'p') or ''\nlocal digits = string.sub(was, 1, 10)\nif string.sub(was, 1, 1) == '>' then digits = string.sub(was, 2, 11) end\nif was == '' or tonumber(digits) < tonumber(string.sub(ARGV[1], 1, 10)) then\n  redis.call('HSET', KEYS[1], 'p', '>' .. ARGV[1])\n  return '>' .. ARGV[1]\nend\nreturn was\n",
}
export default script
