// Generated from enrol.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'readers', 'process' | 'behind_ms' | 'for_ms'> = {
  name: 'cache/local/enrol',
  keys: ['readers'],
  args: ['process', 'behind_ms', 'for_ms'],
  sha1: '3cd4dc08668efca0c2f53f1865123a7b7af69ed1',
  source: "\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\n\n\nredis.call('HSET', KEYS[1], 'e' .. ARGV[1], string.format('%.0f', now + tonumber(ARGV[3])), 'b' .. ARGV[1], ARGV[2])\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  local process = string.sub(fields[i], 2)\n  if string.sub(fields[i], 1, 1) == 'e' and process ~= ARGV[1] and tonumber(fields[i + 1]) <= now then\n    redis.call('HDEL', KEYS[1], 'e' .. process, 'b' .. process)\n  end\nend\nif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end\nreturn 1\n",
}
export default script
