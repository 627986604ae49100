// Generated from take.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'entry', never> = {
  name: 'cache/shelf/take',
  keys: ['entry'],
  args: [],
  sha1: '01291adbaea8daa379fd9ac090c62a50c8bc81e6',
  source: "\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'n')\nif not saved[1] then return false end\nredis.call('DEL', KEYS[1])\nif saved[2] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn saved[1]\n",
}
export default script
