// Generated from store.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'bytes' | 'ttl_ms' | 'mode' | 'token'> = {
  name: 'cache/store',
  keys: ['entry'],
  args: ['bytes', 'ttl_ms', 'mode', 'token'],
  sha1: '6e6a6721bec6a08bf9942f66a06bc204b7669840',
  source: "\n\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'r', 'm', 'n')\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal written = tonumber(saved[3])\nif written and now < written then\n  if ARGV[3] == 'any' then redis.call('HSET', KEYS[1], 'c', '1') end\n  return 0\nend\nif ARGV[3] == 'version' and string.sub(saved[1] or '', 6, 13) ~= ARGV[4] then return 0 end\nif ARGV[3] == 'mark' and (saved[1] or saved[2] ~= ARGV[4]) then return 0 end\n\n\nredis.call('HSET', KEYS[1], 'v', ARGV[1])\nredis.call('HDEL', KEYS[1], 'l', 'd', 'x', 'o', 'n', 'r', 'm', 'c')\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nif saved[4] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn 1\n",
}
export default script
