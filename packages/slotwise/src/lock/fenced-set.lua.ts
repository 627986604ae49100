// Generated from fenced-set.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'value', 'token' | 'content' | 'removes' | 'keep_ms'> = {
  name: 'lock/fenced-set',
  keys: ['value'],
  args: ['token', 'content', 'removes', 'keep_ms'],
  sha1: 'c004cff7b1aacb8c4b2d95f9369f8229ce3967d3',
  source: "\n\n\n\n\n\n\n\n\nlocal seen = redis.call('HGET', KEYS[1], 't')\nif seen and tonumber(seen) > tonumber(ARGV[1]) then return seen end\nif ARGV[3] == '1' then redis.call('HDEL', KEYS[1], 'v') end\nredis.call('HSET', KEYS[1], 't', ARGV[1])\nif ARGV[3] ~= '1' then redis.call('HSET', KEYS[1], 'v', ARGV[2]) end\nredis.call('PEXPIRE', KEYS[1], ARGV[4])\nreturn ARGV[1]\n",
}
export default script
