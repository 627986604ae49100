// Generated from show.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock' | 'marker', never> = {
  name: 'lock/show',
  keys: ['lock', 'marker'],
  args: [],
  sha1: '9b560e8540f3bf854bc79caf839c26a29509baf2',
  source: "\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'b', 'q')\nlocal left = (tonumber(saved[2]) or 0) - now\nlocal owner = ''\nif saved[1] and left > 0 then owner = saved[1] end\n\nlocal line = saved[5] or ''\nlocal waiting = 0\n\nfor at = 23, #line, 35 do\n  if tonumber(string.sub(line, at, at + 12)) > now then waiting = waiting + 1 end\nend\n\nlocal mark = redis.call('HMGET', KEYS[2], 'r', 's', 'm')\nlocal quarantine = 0\nif mark[1] and mark[3] then\n  local server = redis.call('INFO', 'server')\n  local at = string.find(server, 'run_id:', 1, true)\n  local since = tonumber(mark[2]) or 0\n\n  if mark[1] ~= string.sub(server, at + 7, at + 46) or since > now then since = now end\n  if since > 0 then quarantine = math.max(0, since + tonumber(mark[3]) - now) end\nend\n\nif owner == '' then left, saved[3], saved[4] = 0, false, false end\nreturn { owner, left, saved[3] or '', saved[4] or '', waiting, quarantine, now }\n",
}
export default script
