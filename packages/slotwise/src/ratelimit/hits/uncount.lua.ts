// Generated from uncount.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'hits', never> = {
  name: 'ratelimit/hits/uncount',
  keys: ['hits'],
  args: [],
  sha1: '67be44a407647e29c937e08e66a7b72cd9386e70',
  source: "\n\n\n\n\n\n\nlocal hits = tonumber(redis.call('GET', KEYS[1]) or 0)\nif hits < 1 then return 0 end\nredis.call('DECR', KEYS[1])\nreturn 1\n",
}
export default script
