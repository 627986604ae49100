// Generated from show.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock' | 'marker', 'epoch'> = {
  name: 'lock/show',
  keys: ['lock', 'marker'],
  args: ['epoch'],
  sha1: '00b9967864825a06a64f524a9af7f3928e42939d',
  source: "\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('GET', KEYS[1])\nlocal owner, left, token, label, line = '', 0, '', '', ''\n\nif saved and tonumber(string.sub(saved, 54, 57)) then\n  local state = string.sub(saved, 52, 52)\n  local from = 58 + tonumber(string.sub(saved, 54, 57))\n  left = tonumber(string.sub(saved, 23, 35)) - now\n  if state ~= 'd' then line = string.sub(saved, from) end\n  if left > 0 and (state == 'h' or state == 'c') then owner, label = string.sub(saved, 1, 22), string.sub(saved, 58, from - 1) end\n  if left > 0 and state == 'h' then token = string.sub(saved, 36, 51) end\nend\n\nlocal waiting = 0\n\nfor at = 23, #line, 35 do\n  if tonumber(string.sub(line, at, at + 12)) > now then waiting = waiting + 1 end\nend\n\nlocal mark = redis.call('HMGET', KEYS[2], 'r', 's', 'm', 'p', 'c')\nlocal quarantine = 0\nif mark[1] and mark[3] then\n  local replication = redis.call('INFO', 'replication')\n  local since = tonumber(mark[2]) or 0\n  local same = string.find(replication, 'master_replid:' .. mark[1], 1, true)\n\n  if not same and string.find(replication, 'master_replid2:' .. string.rep('0', 40), 1, true) then\n    same = string.find(redis.call('INFO', 'server'), 'run_id:' .. (mark[4] or ''), 1, true)\n  end\n\n  if not same or since > now or tonumber(ARGV[1]) > (tonumber(mark[5]) or 0) then since = now end\n  if since > 0 then quarantine = math.max(0, since + tonumber(mark[3]) - now) end\nend\n\nif owner == '' then left = 0 end\nreturn { owner, left, token, label, waiting, quarantine, now }\n",
}
export default script
