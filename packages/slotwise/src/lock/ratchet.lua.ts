// Generated from ratchet.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock' | 'marker', 'owner' | 'token'> = {
  name: 'lock/ratchet',
  keys: ['lock', 'marker'],
  args: ['owner', 'token'],
  sha1: '3743a74a3c03a7f2aefbc6f9da0b5f8f8c5e62dd',
  source: "\n\n\n\n\n\n\n\nlocal token = tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f')\nif saved[1] ~= ARGV[1] or not saved[3] then return -1 end\nif tonumber(saved[2]) <= now then return 0 end\n\nredis.call('HDEL', KEYS[1], 'w')\nif tonumber(saved[3]) < token then redis.call('HSET', KEYS[1], 'f', ARGV[2]) end\nif (tonumber(redis.call('HGET', KEYS[2], 'h')) or 0) < token then redis.call('HSET', KEYS[2], 'h', ARGV[2]) end\nreturn 1\n",
}
export default script
