// Generated from intend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'intent_ms' | 'keep_ms'> = {
  name: 'cache/intend',
  keys: ['entry'],
  args: ['token', 'intent_ms', 'keep_ms'],
  sha1: '3962de2363e523fd6b82de0209294634c824e8d5',
  source: "\n\n\n\n\n\n\n\n\n\n\n\nlocal intent, keep = 'w:' .. ARGV[1], tonumber(ARGV[3])\nlocal value = keep > 0 and redis.call('HGET', KEYS[1], 'v')\nlocal woken = redis.call('HGET', KEYS[1], 'n')\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal latest = now + tonumber(ARGV[2])\nlocal contested = 0\n\n\n\nredis.call('HDEL', KEYS[1], intent)\nredis.call('HSET', KEYS[1], intent, string.format('%.0f', latest))\nif value then redis.call('HSET', KEYS[1], 'o', value) end\nredis.call('HDEL', KEYS[1], 'v', 'l', 'd', 'x', 'n', 'r')\n\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 2) == 'w:' and fields[i] ~= intent then\n    local ends = tonumber(fields[i + 1])\n    if ends > now then\n      contested = 1\n      latest = math.max(latest, ends)\n    else\n      redis.call('HDEL', KEYS[1], fields[i])\n    end\n  end\nend\n\nredis.call('HSET', KEYS[1], 'm', string.format('%.0f', latest))\nif contested == 1 then redis.call('HSET', KEYS[1], 'c', '1') end\nlocal kept = 0\nif redis.call('HEXISTS', KEYS[1], 'o') == 1 then\n  kept = value and keep or redis.call('PTTL', KEYS[1])\nend\nredis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(latest - now, kept)))\nif woken then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn contested\n",
}
export default script
