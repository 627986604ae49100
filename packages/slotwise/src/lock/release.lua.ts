// Generated from release.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner'> = {
  name: 'lock/release',
  keys: ['lock'],
  args: ['owner'],
  sha1: '630e0c1e35411a5660f8c6b78e38c8b1066bf53b',
  source: "\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e')\nif saved[1] ~= ARGV[1] then return -1 end\nredis.call('HDEL', KEYS[1], 'o', 'e')\nif tonumber(saved[2]) > now then return 1 end\nreturn 0\n",
}
export default script
