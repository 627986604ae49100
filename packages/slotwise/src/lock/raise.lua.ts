// Generated from raise.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'longest', 'name' | 'ms'> = {
  name: 'lock/raise',
  keys: ['longest'],
  args: ['name', 'ms'],
  sha1: '1862317d35709deee13a2ce0fb20a25c8be6a488',
  source: "\n\n\n\n\n\n\n\nlocal saved = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))\nlocal ms = tonumber(ARGV[2])\nif saved and (saved == 0) ~= (ms == 0) then return -1 end\nif saved and ms <= saved then return saved end\nredis.call('HSET', KEYS[1], ARGV[1], ms)\nreturn ms\n",
}
export default script
