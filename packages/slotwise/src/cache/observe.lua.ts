// Generated from observe.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'mark_ms'> = {
  name: 'cache/observe',
  keys: ['entry'],
  args: ['token', 'mark_ms'],
  sha1: '9f29f4989836f12c5820dbae37075849869b33f4',
  source: "\n\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'x', 'r', 'm')\nlocal lives = redis.call('PTTL', KEYS[1])\nlocal left = lives - (tonumber(saved[2]) or 0)\nif saved[1] and left > 0 then return {0, saved[1], left} end\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal written = tonumber(saved[4])\nif written and now < written then return {2} end\n\nlocal mark = saved[3] or ARGV[1]\nif not saved[3] then\n  local reply = redis.pcall('HSET', KEYS[1], 'r', mark)\n\n  if type(reply) == 'table' and reply.err then return {2} end\nend\n\nif saved[1] then redis.call('HDEL', KEYS[1], 'v', 'x') end\nif lives < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end\nreturn {1, mark}\n",
}
export default script
