// Generated from reprove.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'entry', 'version'> = {
  name: 'cache/local/reprove',
  keys: ['entry'],
  args: ['version'],
  sha1: 'f10e68f192586964dc162698b91f3c264fbc74ed',
  source: "\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'x')\nlocal lives = redis.call('PTTL', KEYS[1])\n\nif saved[1] and string.sub(saved[1], 6, 13) == ARGV[1] then return {1, lives - (tonumber(saved[2]) or 0)} end\nreturn {0, saved[1], saved[2], lives}\n",
}
export default script
