// Generated from renew.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'marker', 'from' | 'to'> = {
  name: 'lock/renew',
  keys: ['marker'],
  args: ['from', 'to'],
  sha1: '0d452e71e8fba647e9c376fd84a1600efdc38bce',
  source: "\n\n\n\n\n\n\n\nif redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end\nlocal server = redis.call('INFO', 'server')\nlocal at = string.find(server, 'run_id:', 1, true)\nlocal run = string.sub(server, at + 7, at + 46)\nif ARGV[2] ~= '' and ARGV[2] ~= run then return 0 end\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'r', run)\nreturn 1\n",
}
export default script
