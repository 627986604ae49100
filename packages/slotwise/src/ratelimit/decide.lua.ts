// Generated from decide.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'state', 'layout' | 'plan'> = {
  name: 'ratelimit/decide',
  keys: ['state'],
  args: ['layout', 'plan'],
  sha1: 'adf9e4162e0f1e392948a2f39eac20ded44cb9c8',
  source: "\n\n\n\n\n\n\n\n\n\n\n\nlocal layout, plan = ARGV[1], ARGV[2]\n\n\nlocal time = redis.call('TIME')\nlocal now = (tonumber(time[1]) - 1704067200) * 1000000 + tonumber(time[2])\n\nlocal saved = redis.call('GET', KEYS[1])\nlocal known = saved and #saved == 8 + #plan / 2 and string.sub(saved, 1, 8) == layout\n\nlocal admitted, taken, full = 1, 0, 0\nlocal reply, record = { 1 }, { layout }\n\nfor at = 1, #plan, 16 do\n  local depth, cost = struct.unpack('>dd', plan, at)\n  local arrival = now\n  if known then\n    arrival = struct.unpack('>d', saved, 8 + (at + 1) / 2)\n\n    if arrival > now + depth then arrival = now + depth end\n    if arrival < now then arrival = now end\n  end\n  local after = arrival + cost\n\n  if after < now then after = now end\n  if cost > 0 and after - now > depth then admitted = 0 end\n  if after > full then full = after end\n  if cost ~= 0 then taken = 1 end\n  reply[#reply + 1] = after - now\n  record[#record + 1] = struct.pack('>d', after)\nend\n\nif admitted == 0 then\n  reply[1] = 0\n\n  for at = 1, #plan, 16 do\n    local _, cost = struct.unpack('>dd', plan, at)\n    local bucket = (at + 15) / 16 + 1\n    reply[bucket] = reply[bucket] - cost\n  end\nelseif taken > 0 then\n\n  redis.call('SET', KEYS[1], table.concat(record), 'PX', math.max(1, math.ceil((full - now) / 1000)))\nend\nreturn reply\n",
}
export default script
