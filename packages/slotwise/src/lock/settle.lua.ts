// Generated from settle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'marker', 'from' | 'run'> = {
  name: 'lock/settle',
  keys: ['marker'],
  args: ['from', 'run'],
  sha1: 'cf08f94ebd2df0d9ce44aba53c5d614c906c54ad',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal NOBODY = 'nobody'\nlocal mark = redis.call('HMGET', KEYS[1], 'r', 'p')\nif not mark[1] or mark[1] == NOBODY or mark[1] == ARGV[1] then return 0 end\nif ARGV[2] ~= '' and mark[2] == ARGV[2] then return 0 end\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'r', NOBODY, 'p', NOBODY)\nreturn 1\n",
}
export default script
