// Generated from raise.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'longest', 'name' | 'ms'> = {
  name: 'lock/raise',
  keys: ['longest'],
  args: ['name', 'ms'],
  sha1: '81cd6f61bdf2002192b0241e2999ddc8aa0875c2',
  source: "\n\n\n\n\n\n\nlocal known = tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0\nlocal ms = tonumber(ARGV[2])\nif ms <= known then return known end\nredis.call('HSET', KEYS[1], ARGV[1], ms)\nreturn ms\n",
}
export default script
