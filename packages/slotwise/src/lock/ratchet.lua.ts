// Generated from ratchet.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock' | 'marker', 'owner' | 'token'> = {
  name: 'lock/ratchet',
  keys: ['lock', 'marker'],
  args: ['owner', 'token'],
  sha1: '78de6bc0badee0a797aafa1578bceecb62e53d55',
  source: "\n\n\n\n\n\n\n\nlocal function put(KEYS, ARGV)\n\n\n\n\n\n\n\n\nif redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]).err then\n  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\nend\n\nend\nlocal token = tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('GET', KEYS[1])\nif not saved or string.sub(saved, 1, 22) ~= ARGV[1] or string.sub(saved, 52, 52) ~= 'h' then return -1 end\nlocal left = tonumber(string.sub(saved, 23, 35)) - now\nif left <= 0 then return 0 end\nif tonumber(string.sub(saved, 36, 51)) < token then\n  local record = string.sub(saved, 1, 35) .. string.format('%016.0f', token) .. string.sub(saved, 52)\n  put({ KEYS[1] }, { record, math.max(left, redis.call('PTTL', KEYS[1])) })\nend\nif KEYS[1] == KEYS[2] then return 1 end\n\nredis.call('HDEL', KEYS[2], 'w')\nif (tonumber(redis.call('HGET', KEYS[2], 'h')) or 0) < token then redis.call('HSET', KEYS[2], 'h', ARGV[2]) end\nreturn 1\n",
}
export default script
