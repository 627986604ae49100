// Generated from renew.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'marker', 'from'> = {
  name: 'lock/renew',
  keys: ['marker'],
  args: ['from'],
  sha1: '3487e795abdf134f3d42c21617d97f0704fc2c50',
  source: "\n\n\n\n\n\n\nif redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end\nlocal server = redis.call('INFO', 'server')\nlocal at = string.find(server, 'run_id:', 1, true)\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'r', string.sub(server, at + 7, at + 46))\nreturn 1\n",
}
export default script
