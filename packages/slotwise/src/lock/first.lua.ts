// Generated from first.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'slots', 'slot'> = {
  name: 'lock/first',
  keys: ['slots'],
  args: ['slot'],
  sha1: '12fcf9d712bf768ddf98cf20eeaa39125cbfd0a4',
  source: "\n\n\n\n\n\n\nredis.call('PERSIST', KEYS[1])\nreturn redis.call('SETBIT', KEYS[1], ARGV[1], 1)\n",
}
export default script
