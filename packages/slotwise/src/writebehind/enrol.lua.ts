// Generated from enrol.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'members', 'id' | 'for_ms'> = {
  name: 'writebehind/enrol',
  keys: ['members'],
  args: ['id', 'for_ms'],
  sha1: '1c90b757acc66bbcb972864c59f484231769ee61',
  source: "\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal count = 0\nlocal members = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #members, 2 do\n  if members[i] ~= ARGV[1] then\n    if tonumber(members[i + 1]) > now then count = count + 1 else redis.call('HDEL', KEYS[1], members[i]) end\n  end\nend\nif ARGV[2] == '0' then\n  redis.call('HDEL', KEYS[1], ARGV[1])\n  return count\nend\nredis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])))\nreturn count + 1\n",
}
export default script
