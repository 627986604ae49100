// Generated from renew.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'marker', 'from' | 'run' | 'to'> = {
  name: 'lock/renew',
  keys: ['marker'],
  args: ['from', 'run', 'to'],
  sha1: '85e09bc6315c88ec55e758523ae80eda3c02ff6e',
  source: "\n\n\n\n\n\n\n\n\n\nlocal mark = redis.call('HMGET', KEYS[1], 'r', 'p')\nif not mark[1] or mark[1] ~= ARGV[1] and mark[2] ~= ARGV[2] then return 0 end\nlocal replication = redis.call('INFO', 'replication')\nlocal at = string.find(replication, 'master_replid:', 1, true)\nlocal reign = string.sub(replication, at + 14, at + 53)\nif ARGV[3] ~= '' and ARGV[3] ~= reign then return 0 end\nlocal server = redis.call('INFO', 'server')\nat = string.find(server, 'run_id:', 1, true)\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'r', reign, 'p', string.sub(server, at + 7, at + 46))\nreturn 1\n",
}
export default script
