// Generated from look.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', never> = {
  name: 'lock/look',
  keys: ['lock'],
  args: [],
  sha1: 'b07c4ab486a4f15f476378b0b1a45adae1adb78d',
  source: "\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'b', 'v')\nlocal left = (tonumber(saved[2]) or 0) - now\n\nif left <= 0 or not saved[3] then return { 0 } end\nif saved[5] then return { 2, saved[3], left, saved[5] } end\nreturn { 1, saved[3], left, saved[4] or '' }\n",
}
export default script
