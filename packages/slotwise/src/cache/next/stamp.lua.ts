// Generated from stamp.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'fresh' | 'since_ms' | 'keep_ms'> = {
  name: 'cache/next/stamp',
  keys: ['tag'],
  args: ['fresh', 'since_ms', 'keep_ms'],
  sha1: '474f4d7988f5caad410c5bc31745c5faabe1bd35',
  source: "\n\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal saved = redis.call('HMGET', KEYS[1], 'v', 'c', 'h', 'i')\nlocal version = saved[1]\nlocal ended, changed = -1, -1\n\nif not version then\n  redis.call('HSET', KEYS[1], 'v', ARGV[1])\n  version = ARGV[1]\nend\nif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end\nif saved[3] then ended = math.max(0, now - tonumber(saved[3])) end\nif saved[2] then changed = math.max(0, now - tonumber(saved[2])) end\n\nlocal former = version\nif changed >= 0 and changed <= tonumber(ARGV[2]) then\n  local first = now + 1\n  local fields = redis.call('HGETALL', KEYS[1])\n\n  for i = 1, #fields, 2 do\n    if string.sub(fields[i], 1, 2) == 't:' then\n      local at = tonumber(fields[i + 1])\n      if at >= now - tonumber(ARGV[2]) and at < first then\n        first = at\n        former = string.sub(fields[i], 3)\n      end\n    end\n  end\nend\nreturn {version, ended, changed, former, saved[4] or ''}\n",
}
export default script
