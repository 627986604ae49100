// Generated from count.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'hits', 'window_ms' | 'max' | 'beyond'> = {
  name: 'ratelimit/hits/count',
  keys: ['hits'],
  args: ['window_ms', 'max', 'beyond'],
  sha1: 'f3238f3b8537612fd26d15a759bef7c7bdf58701',
  source: "\n\n\n\n\n\n\n\n\n\nlocal window, max, beyond = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n\nlocal hits = redis.call('INCR', KEYS[1])\nlocal left = redis.call('PTTL', KEYS[1])\nlocal over = hits - max\nif left < 0 or (beyond == 1 and over > 0) then\n  left = window\nelseif beyond == 2 and over > 0 then\n\n  left = math.max(window, math.min(window * 2 ^ (over - 1), 31536000000))\nelse\n  return { hits, left }\nend\nredis.call('PEXPIRE', KEYS[1], left)\nreturn { hits, left }\n",
}
export default script
