// Generated from lag.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', never> = {
  name: 'writebehind/lag',
  keys: ['partition'],
  args: [],
  sha1: '6848e0d2ed791085fd3248b3b00a68ab810f2f57',
  source: "\n\n\n\nlocal meta = redis.call('HMGET', KEYS[1], 'f', 'l', 'b')\nlocal first, last = tonumber(meta[1] or 1), tonumber(meta[2] or 0)\nlocal line = redis.call('HGET', KEYS[1], 'j' .. string.format('%.0f', first))\nlocal time = redis.call('TIME')\nlocal age = 0\nif line then\n  age = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(string.sub(line, 17, 30))\nend\nreturn {first, last, tonumber(meta[3] or 0), math.max(0, age)}\n",
}
export default script
