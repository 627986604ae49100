// Generated from renew.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'state', 'plan' | 'lease'> = {
  name: 'ratelimit/renew',
  keys: ['state'],
  args: ['plan', 'lease'],
  sha1: '0d8aee6b91b658b81d7be12cce58674073bd8518',
  source: "\n\n\n\n\n\nlocal plan, lease = ARGV[1], ARGV[2]\nlocal _, parts, layout, place = struct.unpack('>BBI4', plan)\nlocal saved = redis.call('GET', KEYS[1])\nif not saved or #saved < 12 + parts * 8 or struct.unpack('>I4', saved) ~= layout then return 0 end\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2] - 1704067200000000\nlocal _, written = struct.unpack('>I4d', saved)\n\nlocal from = math.max(now, written)\n\nlocal ttl, renewed = redis.call('PTTL', KEYS[1]), 0\nlocal shares = string.byte(plan) > 1\nlocal at, list = 13, 13 + parts * 8\nif string.sub(saved, list + 8, list + 15) == '\\0\\0\\0\\0\\0\\0\\0\\0' then list = list + 16 end\n\nwhile place < #plan do\n  local kind = string.byte(plan, place)\n  local width = struct.unpack('>I6', plan, place + 6)\n  place = place + (kind == 6 and 32 or 20)\n  if shares then at = at + 8 end\n  if kind > 7 then\n    local count = struct.unpack('>I4', saved, at)\n    local last = list + 16 * count\n\n    for entry = list, kind == 9 and last - 1 or 0, 16 do\n      local ending = struct.unpack('>d', saved, entry)\n      if string.sub(saved, entry + 10, entry + 15) == lease and ending > now then\n\n        local mended = struct.pack('>d', from + width) .. string.sub(saved, entry + 8, entry + 15)\n        saved = string.sub(saved, 1, entry - 1) .. string.sub(saved, entry + 16, last - 1) .. mended .. string.sub(saved, last)\n        ttl, renewed = math.max(ttl, math.ceil(width / 1000)), 1\n        break\n      end\n    end\n    list = last\n  end\n  at = at + ((kind == 1 or kind == 3 or kind == 4) and 16 or 8)\nend\nif renewed == 1 then redis.call('SET', KEYS[1], saved, 'PX', math.max(1, ttl)) end\nreturn renewed\n",
}
export default script
