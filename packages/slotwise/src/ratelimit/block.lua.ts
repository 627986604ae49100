// Generated from block.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'state', 'empty' | 'ms'> = {
  name: 'ratelimit/block',
  keys: ['state'],
  args: ['empty', 'ms'],
  sha1: '231c7712254d856bf9964759c215d4dbd9823b1f',
  source: "\n\n\n\n\n\nlocal empty, ms = ARGV[1], tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2] - 1704067200000000\nlocal saved, ttl = redis.call('GET', KEYS[1]), 0\nif saved and #saved >= #empty and string.sub(saved, 1, 4) == string.sub(empty, 1, 4) then\n  ttl = redis.call('PTTL', KEYS[1])\nelseif ms == 0 then\n  return 1\nelse\n  saved = string.sub(empty, 1, 4) .. struct.pack('>d', now) .. string.sub(empty, 13)\nend\nlocal rest = string.sub(saved, #empty + 1)\nlocal isBlocked = string.sub(rest, 9, 16) == '\\0\\0\\0\\0\\0\\0\\0\\0'\nif isBlocked then rest = string.sub(rest, 17) end\nif ms == 0 and not isBlocked then return 1 end\nlocal block = ''\nif ms > 0 then\n\n  local _, written = struct.unpack('>I4d', saved)\n  block = struct.pack('>d', math.max(now, written) + ms * 1000) .. '\\0\\0\\0\\0\\0\\0\\0\\0'\nend\nredis.call('SET', KEYS[1], string.sub(saved, 1, #empty) .. block .. rest, 'PX', math.max(1, ttl, ms))\nreturn 1\n",
}
export default script
