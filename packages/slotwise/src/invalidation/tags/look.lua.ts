// Generated from look.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'fresh' | 'keep_ms'> = {
  name: 'invalidation/tags/look',
  keys: ['tag'],
  args: ['fresh', 'keep_ms'],
  sha1: 'ff2b3d40400c0cbe4e1ae7c40763241eaa7f1bb8',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'm')\nlocal version = saved[1]\n\nif saved[2] then\n  local time = redis.call('TIME')\n  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n  if now < tonumber(saved[2]) then return false end\n\n  version = false\nend\n\n\nif not version then redis.call('HSET', KEYS[1], 'v', ARGV[1]) end\nif saved[2] then\n\n\n  local fields = redis.call('HKEYS', KEYS[1])\n\n  for i = 1, #fields do\n    if fields[i] ~= 'v' then redis.call('HDEL', KEYS[1], fields[i]) end\n  end\nend\n\nlocal keep = tonumber(ARGV[2])\nif redis.call('PTTL', KEYS[1]) < keep then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * keep)) end\nreturn version or ARGV[1]\n",
}
export default script
