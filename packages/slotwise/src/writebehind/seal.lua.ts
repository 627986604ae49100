// Generated from seal.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'layout'> = {
  name: 'writebehind/seal',
  keys: ['partition'],
  args: ['layout'],
  sha1: 'a853cbfe94405544a170ba8451b0d960aef50a3b',
  source: "\n\n\n\n\n\n\n\n\n\nlocal was = redis.call('HGET', KEYS[1], 'p') or ''\nlocal digits = string.sub(was, 1, 10)\nif string.sub(was, 1, 1) == '>' then digits = string.sub(was, 2, 11) end\nif was == '' or was == '>' .. ARGV[1] or tonumber(digits) < tonumber(string.sub(ARGV[1], 1, 10)) then\n\n  redis.call('HDEL', KEYS[1], 'w')\n  redis.call('HSET', KEYS[1], 'p', '>' .. ARGV[1])\n  return '>' .. ARGV[1]\nend\nreturn was\n",
}
export default script
