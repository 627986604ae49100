// Generated from enrol.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'members', 'id' | 'for_ms'> = {
  name: 'writebehind/enrol',
  keys: ['members'],
  args: ['id', 'for_ms'],
  sha1: '1229df709f50d2b28b6bae15a8ebf59af4b031db',
  source: "\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nif ARGV[2] ~= '0' then\n\n\n  redis.call('HDEL', KEYS[1], 'w')\n  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])))\nend\nlocal count = 0\nlocal gone = {}\nlocal members = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #members, 2 do\n  if tonumber(members[i + 1]) <= now or (ARGV[2] == '0' and members[i] == ARGV[1]) then\n    gone[#gone + 1] = members[i]\n  else\n    count = count + 1\n  end\nend\nif #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end\nreturn count\n",
}
export default script
