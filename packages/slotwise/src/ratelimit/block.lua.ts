// Generated from block.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'state', 'empty' | 'ms'> = {
  name: 'ratelimit/block',
  keys: ['state'],
  args: ['empty', 'ms'],
  sha1: '355b70018062dfe701fc7622a09eaa510989c8ea',
  source: "\n\n\n\n\n\nlocal empty, ms = ARGV[1], tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2] - 1704067200000000\nlocal saved, ttl, age = redis.call('GET', KEYS[1]), 0, 0\nif saved and #saved >= #empty and string.sub(saved, 1, 4) == string.sub(empty, 1, 4) then\n  ttl = redis.call('PTTL', KEYS[1])\n  local _, written = struct.unpack('>I4d', saved)\n  age = now - written\nelseif ms == 0 then\n  return 1\nelse\n  saved = string.sub(empty, 1, 4) .. struct.pack('>d', now) .. string.sub(empty, 13)\nend\nlocal record, rest = string.sub(saved, 1, #empty), string.sub(saved, #empty + 1)\nlocal isBlocked = string.sub(rest, 9, 16) == '\\0\\0\\0\\0\\0\\0\\0\\0'\nif isBlocked then rest = string.sub(rest, 17) end\nif ms == 0 and not isBlocked then return 1 end\n\nif age < 0 then\n  local ends = {}\n\n  for entry = 1, #rest, 16 do\n    ends[#ends + 1] = struct.pack('>d', struct.unpack('>d', rest, entry) + age) .. string.sub(rest, entry + 8, entry + 15)\n  end\n  record, rest = string.sub(record, 1, 4) .. struct.pack('>d', now) .. string.sub(record, 13), table.concat(ends)\nend\nlocal block = ms > 0 and struct.pack('>d', now + ms * 1000) .. '\\0\\0\\0\\0\\0\\0\\0\\0' or ''\nredis.call('SET', KEYS[1], record .. block .. rest, 'PX', math.max(1, ttl, ms))\nreturn 1\n",
}
export default script
