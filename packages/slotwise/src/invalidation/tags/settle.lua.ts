// Generated from settle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'token' | 'linger_ms'> = {
  name: 'invalidation/tags/settle',
  keys: ['tag'],
  args: ['token', 'linger_ms'],
  sha1: 'a36e3107dbdf1d2c063ac6c64d2ed02a55b59c80',
  source: "\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal intent, linger = 'w:' .. ARGV[1], tonumber(ARGV[2])\n\nlocal latest = 0\nif linger > 0 then latest = now + linger end\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent then\n    local ends = tonumber(fields[i + 1])\n    if ends > now then latest = math.max(latest, ends) end\n  end\nend\nif latest == 0 then\n  redis.call('DEL', KEYS[1])\n  return 1\nend\n\n\n\nif linger > 0 then\n  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))\nelse\n  redis.call('HDEL', KEYS[1], intent)\nend\nredis.call('HDEL', KEYS[1], 'v')\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent and tonumber(fields[i + 1]) <= now then\n    redis.call('HDEL', KEYS[1], fields[i])\n  end\nend\nredis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))\nredis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))\nreturn 1\n",
}
export default script
