// Generated from forget.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', never> = {
  name: 'lock/once/forget',
  keys: ['lock'],
  args: [],
  sha1: '3959e98155535a35b367994858f54f2af467a8e1',
  source: "\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'e', 'h')\nif not saved[1] then return 0 end\nif saved[3] then\n\n  redis.call('HDEL', KEYS[1], 'v', 'd', 'e', 'f')\nelse\n  redis.call('DEL', KEYS[1])\nend\nif tonumber(saved[2]) > now then return 1 end\nreturn 0\n",
}
export default script
