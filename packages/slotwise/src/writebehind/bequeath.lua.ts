// Generated from bequeath.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'letters', 'changes' | 'name' | 'letter'> = {
  name: 'writebehind/bequeath',
  keys: ['letters'],
  args: ['changes', 'name', 'letter'],
  sha1: 'cdd3ece65d78aa1a63892e7ba6d9df4b703f2e64',
  source: "\n\n\n\n\n\n\n\n\nlocal began = redis.call('HGET', KEYS[1], '')\nif began and tonumber(began) >= tonumber(ARGV[1]) then return 0 end\nif ARGV[2] == '' then\n  redis.call('HSET', KEYS[1], '', ARGV[1])\nelseif ARGV[3] == '' then\n  redis.call('HDEL', KEYS[1], ARGV[2])\nelse\n  redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3])\nend\nreturn 1\n",
}
export default script
