// Generated from readers.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'readers', never> = {
  name: 'cache/local/readers',
  keys: ['readers'],
  args: [],
  sha1: 'c54d4259b3104e4b899538d69f3fd3b44f0a06a9',
  source: "\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal found = {}\nlocal fields = redis.call('HGETALL', KEYS[1])\n\nfor i = 1, #fields, 2 do\n  if string.sub(fields[i], 1, 1) == 'e' and tonumber(fields[i + 1]) > now then\n    local process = string.sub(fields[i], 2)\n    found[#found + 1] = process\n    found[#found + 1] = redis.call('HGET', KEYS[1], 'b' .. process)\n  end\nend\nreturn found\n",
}
export default script
