// Generated from lag.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', never> = {
  name: 'writebehind/lag',
  keys: ['partition'],
  args: [],
  sha1: '61dbc7e27c6ca258507c09d361e88a221f9d7f32',
  source: "\n\n\n\nlocal meta = redis.call('HMGET', KEYS[1], 'f', 'l', 'b', 'g')\nlocal first, last = tonumber(meta[1] or 1), tonumber(meta[2] or 0)\nlocal line = redis.call('HGET', KEYS[1], 'j' .. (meta[4] or string.format('%.0f', first)))\nlocal time = redis.call('TIME')\nlocal age = 0\nif line and first <= last then\n  age = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(string.sub(line, 9, 22))\nend\nreturn {first, last, tonumber(meta[3] or 0), math.max(0, age)}\n",
}
export default script
