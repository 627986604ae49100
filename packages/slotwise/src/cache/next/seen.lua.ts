// Generated from seen.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'version'> = {
  name: 'cache/next/seen',
  keys: ['tag'],
  args: ['version'],
  sha1: '280300c80616d501ce9291a603168c9ffde42c14',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'c', 'g:' .. ARGV[1])\nlocal current, left, since = 0, 0, -1\n\nif saved[1] == ARGV[1] then current = 1 end\nif saved[3] then left = math.max(0, tonumber(saved[3]) - now) end\n\nif saved[2] then since = math.max(0, now - tonumber(saved[2])) end\nreturn {current, left, since}\n",
}
export default script
