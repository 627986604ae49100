// Generated from settle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'token' | 'linger_ms'> = {
  name: 'invalidation/tags/settle',
  keys: ['tag'],
  args: ['token', 'linger_ms'],
  sha1: 'ef9cabb434c302a15d3657be80280ec1b758cbdc',
  source: "\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal intent, linger = 'w:' .. ARGV[1], tonumber(ARGV[2])\n\nif linger > 0 then\n  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))\nelse\n  redis.call('HDEL', KEYS[1], intent)\nend\nredis.call('HDEL', KEYS[1], 'v')\n\nlocal latest = 0\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' then\n    local ends = tonumber(fields[i + 1])\n    if ends > now then latest = math.max(latest, ends) else redis.call('HDEL', KEYS[1], fields[i]) end\n  end\nend\nif latest == 0 then\n  redis.call('DEL', KEYS[1])\nelse\n  redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))\n  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))\nend\nreturn 1\n",
}
export default script
