// Generated from look.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', never> = {
  name: 'lock/look',
  keys: ['lock'],
  args: [],
  sha1: 'cf135360c2107955c4ff24466b14dae5773ad1f9',
  source: "\n\n\n\nlocal saved = redis.call('GET', KEYS[1])\nif not saved then return { 0 } end\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal left = tonumber(string.sub(saved, 23, 35)) - now\nlocal token, state = string.sub(saved, 36, 51), string.sub(saved, 52, 52)\n\nif left <= 0 or state ~= 'h' and state ~= 'd' then return { 0 } end\nlocal from = 58 + tonumber(string.sub(saved, 54, 57))\nif state == 'd' then return { 2, token, left, string.sub(saved, from) } end\nreturn { 1, token, left, string.sub(saved, 58, from - 1) }\n",
}
export default script
