// Generated from settle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'store' | 'bytes' | 'ttl_ms' | 'linger_ms' | 'keep_ms'> = {
  name: 'cache/settle',
  keys: ['entry'],
  args: ['token', 'store', 'bytes', 'ttl_ms', 'linger_ms', 'keep_ms'],
  sha1: 'ba8b308f6d24f2b8aa63281f77574e68827a7659',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\nlocal intent, linger, keep = 'w:' .. ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])\nlocal saved = redis.call('HMGET', KEYS[1], intent, 'c', 'v', 'n')\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal ends = tonumber(saved[1])\nif ARGV[2] == '1' and ends and now < ends and not saved[2] then\n\n  redis.call('HSET', KEYS[1], 'v', ARGV[3])\n  redis.call('HDEL', KEYS[1], intent, 'm', 'o', 'r')\n  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n  return 1\nend\n\n\nif saved[3] and keep > 0 then redis.call('HSET', KEYS[1], 'o', saved[3]) end\nif linger > 0 then\n  redis.call('HSET', KEYS[1], intent, string.format('%.0f', now + linger))\nelse\n  redis.call('HDEL', KEYS[1], intent)\nend\nlocal latest, others, kept = 0, false, false\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' then\n    local until_ = tonumber(fields[i + 1])\n    latest = math.max(latest, until_)\n    if fields[i] ~= intent and until_ > now then others = true end\n  elseif fields[i] == 'o' then\n    kept = true\n  end\nend\nlocal lives = math.max(latest - now, 0)\nif kept then lives = math.max(lives, saved[3] and keep or redis.call('PTTL', KEYS[1])) end\nif lives == 0 then\n  redis.call('DEL', KEYS[1])\nelse\n\n  redis.call('HDEL', KEYS[1], 'v', 'l', 'd', 'x', 'n', 'r')\n  if latest > now then redis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest)) else redis.call('HDEL', KEYS[1], 'm', 'c') end\n  if others then redis.call('HSET', KEYS[1], 'c', '1') end\n  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lives))\nend\nif saved[4] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn 0\n",
}
export default script
