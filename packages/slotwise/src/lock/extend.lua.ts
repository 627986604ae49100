// Generated from extend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'ttl_ms' | 'longest_ms'> = {
  name: 'lock/extend',
  keys: ['lock'],
  args: ['owner', 'ttl_ms', 'longest_ms'],
  sha1: '7534d67516cdd4b9f18f9f0430052037d4ab343b',
  source: "\n\n\n\n\n\n\n\n\nlocal function put(KEYS, ARGV)\n\n\n\n\n\n\n\n\nif redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]).err then\n  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\nend\n\nend\nlocal RETAIN_MS = 60000\nlocal saved = redis.call('GET', KEYS[1])\n\nif not saved or string.sub(saved, 1, 22) ~= ARGV[1] or string.sub(saved, 52, 52) ~= 'h' then return -1 end\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal before = tonumber(string.sub(saved, 23, 35))\nif before <= now then return 0 end\n\nlocal ends = math.max(now + tonumber(ARGV[2]), math.min(before, now + tonumber(ARGV[3])))\nlocal keeping = string.sub(saved, 53, 53)\nlocal keep = ends - now\nif keeping == '2' then keep = keep + RETAIN_MS end\n\nif keeping ~= '0' or ends < before then keep = math.max(keep, redis.call('PTTL', KEYS[1])) end\nput({ KEYS[1] }, { string.sub(saved, 1, 22) .. string.format('%013.0f', ends) .. string.sub(saved, 36), keep })\nreturn 1\n",
}
export default script
