// Generated from append.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'log', 'tag' | 'items' | 'keep' | 'for_ms'> = {
  name: 'invalidation/log/append',
  keys: ['log'],
  args: ['tag', 'items', 'keep', 'for_ms'],
  sha1: '71729bbdea5e7a1b74607ac0f76b752f40fe5db5',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\nlocal number = redis.call('HINCRBY', KEYS[1], 'n', 1)\nlocal old = number - tonumber(ARGV[3])\nredis.call('HSET', KEYS[1], 'e' .. string.format('%.0f', number), ARGV[2], 't' .. string.format('%.0f', number), ARGV[1])\nredis.call('HDEL', KEYS[1], 'e' .. string.format('%.0f', old), 't' .. string.format('%.0f', old))\nredis.call('PEXPIRE', KEYS[1], ARGV[4])\nredis.pcall('SPUBLISH', KEYS[1], '')\nreturn number\n",
}
export default script
