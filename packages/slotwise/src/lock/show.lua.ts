// Generated from show.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock' | 'marker', never> = {
  name: 'lock/show',
  keys: ['lock', 'marker'],
  args: [],
  sha1: '4a03bcb053459bbcca588cdcc34d94cb9f610911',
  source: "\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'b', 'q')\nlocal left = (tonumber(saved[2]) or 0) - now\nlocal owner = ''\nif saved[1] and left > 0 then owner = saved[1] end\n\nlocal line = saved[5] or ''\nlocal waiting = 0\n\nfor at = 23, #line, 35 do\n  if tonumber(string.sub(line, at, at + 12)) > now then waiting = waiting + 1 end\nend\n\nlocal mark = redis.call('HMGET', KEYS[2], 'r', 's', 'm', 'p')\nlocal quarantine = 0\nif mark[1] and mark[3] then\n  local replication = redis.call('INFO', 'replication')\n  local since = tonumber(mark[2]) or 0\n  local same = string.find(replication, 'master_replid:' .. mark[1], 1, true)\n\n  if not same and string.find(replication, 'master_replid2:' .. string.rep('0', 40), 1, true) then\n    same = string.find(redis.call('INFO', 'server'), 'run_id:' .. (mark[4] or ''), 1, true)\n  end\n\n  if not same or since > now then since = now end\n  if since > 0 then quarantine = math.max(0, since + tonumber(mark[3]) - now) end\nend\n\nif owner == '' then left, saved[3], saved[4] = 0, false, false end\nreturn { owner, left, saved[3] or '', saved[4] or '', waiting, quarantine, now }\n",
}
export default script
