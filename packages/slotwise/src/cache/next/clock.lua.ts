// Generated from clock.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'entry', never> = {
  name: 'cache/next/clock',
  keys: ['entry'],
  args: [],
  sha1: 'd60607f1bd64c79270ec15f1d3b2bbf130f51d0d',
  source: "\n\n\n\n\nlocal time = redis.call('TIME')\nreturn {tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), redis.call('EXISTS', KEYS[1])}\n",
}
export default script
