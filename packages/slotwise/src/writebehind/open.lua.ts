// Generated from open.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'layout'> = {
  name: 'writebehind/open',
  keys: ['partition'],
  args: ['layout'],
  sha1: '04c2072dc051f68d1015f54189d79f9fe7f80698',
  source: "\n\n\n\n\n\n\nlocal was = redis.call('HGET', KEYS[1], 'p') or ''\nlocal sealed = string.sub(was, 1, 1) == '>'\nif was == '' or (sealed and tonumber(string.sub(was, 2, 11)) <= tonumber(string.sub(ARGV[1], 1, 10))) then\n\n  redis.call('HDEL', KEYS[1], 'w')\n  redis.call('HSET', KEYS[1], 'p', ARGV[1])\n  return ARGV[1]\nend\nreturn was\n",
}
export default script
