// Generated from show.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'state', never> = {
  name: 'ratelimit/show',
  keys: ['state'],
  args: [],
  sha1: '27f3179ae57ccf680bdc0e302c8e8223a9f3f735',
  source: "\n\n\n\nlocal saved = redis.call('GET', KEYS[1])\nif not saved then return '' end\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2] - 1704067200000000\nreturn struct.pack('>dd', now, redis.call('PTTL', KEYS[1])) .. saved\n",
}
export default script
