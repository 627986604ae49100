// Generated from resize.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', 'permits'> = {
  name: 'lock/permits/resize',
  keys: ['lock'],
  args: ['permits'],
  sha1: 'dd8382ef9996f83a9f4c3b66ad3349befa786f0d',
  source: "\n\n\n\n\n\nlocal CLAIM_MS = 1000\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'q', 'p', 'h')\nlocal holders, line = saved[1] or '', saved[2] or ''\nlocal permits = tonumber(ARGV[1])\n\n\nlocal held, used, soonest, latest, told, from = '', 0, 0, now, '', 1\n\nfor at = 1, #holders, 55 do\n  local ends = tonumber(string.sub(holders, at + 22, at + 34))\n  if ends > now then\n    used = used + tonumber(string.sub(holders, at + 51, at + 54))\n    if soonest == 0 or ends < soonest then soonest = ends end\n    latest = math.max(latest, ends)\n  else\n    held = held .. string.sub(holders, from, at - 1)\n    from = at + 55\n  end\nend\nheld = held .. string.sub(holders, from)\n\nwhile line ~= '' do\n  local wanted = string.sub(line, 36, 39)\n  if tonumber(string.sub(line, 23, 35)) > now then\n    if used > 0 and used + tonumber(wanted) > permits then break end\n    local first = string.sub(line, 1, 22)\n    local claim = string.sub('000000000000' .. string.format('%.0f', now + CLAIM_MS), -13)\n    held = held .. first .. claim .. '0000000000000000' .. wanted\n    used = used + tonumber(wanted)\n    if soonest == 0 or now + CLAIM_MS < soonest then soonest = now + CLAIM_MS end\n    latest = math.max(latest, now + CLAIM_MS)\n    told = told .. first\n  end\n  line = string.sub(line, 40)\nend\n\nif held == '' and line == '' then return 0 end\nredis.call('PEXPIRE', KEYS[1], math.max(latest - now, redis.call('PTTL', KEYS[1])))\nredis.call('HSET', KEYS[1], 'o', held, 'q', line, 'p', permits)\n\n\nfor at = 1, #told, 22 do\n  redis.pcall('SPUBLISH', KEYS[1], string.sub(told, at, at + 21) .. string.sub(line, 1, 22))\nend\nreturn 1\n",
}
export default script
