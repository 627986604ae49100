// Generated from look.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'hits', never> = {
  name: 'ratelimit/hits/look',
  keys: ['hits'],
  args: [],
  sha1: '1f0934c7016833b17012b6865b2e595359166c3f',
  source: "\n\n\n\n\n\nlocal hits = redis.call('GET', KEYS[1])\nif not hits then return { 0, 0 } end\nreturn { tonumber(hits), math.max(0, redis.call('PTTL', KEYS[1])) }\n",
}
export default script
