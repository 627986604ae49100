// Generated from finish.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'result' | 'keep_ms'> = {
  name: 'lock/once/finish',
  keys: ['lock'],
  args: ['owner', 'result', 'keep_ms'],
  sha1: '4fcbcc2836026ab5ff7693048dbf9beb3f74c634',
  source: "\n\n\n\n\n\n\n\nlocal RETAIN_MS = 60000\nlocal keep = tonumber(ARGV[3])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'd', 'h')\nif saved[4] == ARGV[1] then return 1 end\nif saved[1] ~= ARGV[1] or not saved[3] then return -1 end\nif tonumber(saved[2]) <= now then return 0 end\nredis.call('HDEL', KEYS[1], 'o', 'b', 'q')\nredis.call('HSET', KEYS[1], 'd', ARGV[1], 'v', ARGV[2], 'e', string.format('%.0f', now + keep))\nif saved[5] then keep = keep + RETAIN_MS end\nredis.call('PEXPIRE', KEYS[1], keep)\n\nredis.pcall('SPUBLISH', KEYS[1], '*')\nreturn 1\n",
}
export default script
