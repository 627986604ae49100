// Generated from take.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'number' | 'tag' | 'seen_number' | 'seen_tag' | 'most' | 'write'> = {
  name: 'writebehind/take',
  keys: ['partition'],
  args: ['number', 'tag', 'seen_number', 'seen_tag', 'most', 'write'],
  sha1: 'ab0cbc184c7da93e830dc851998b5795dc2a4f19',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal meta = redis.call('HMGET', hash, 'f', 'l', 't')\nif ARGV[6] == '1' and meta[2] then\n\n  redis.call('HDEL', hash, 'w')\n  redis.call('HSET', hash, 'l', meta[2])\nend\nlocal first, last, latest = tonumber(meta[1] or 1), tonumber(meta[2] or 0), meta[3] or string.rep('\\0', 8)\n\nlocal function goesOnFrom(number, tag)\n  if number == last then return tag == latest end\n  if number < first - 1 or number > last then return false end\n\n  local next = redis.call('HGET', hash, 'j' .. string.format('%.0f', number + 1))\n  return next and string.sub(next, 9, 16) == tag\nend\n\nlocal number, tag = tonumber(ARGV[1]), ARGV[2]\nlocal goesOn = 0\nlocal from = first\nif goesOnFrom(number, tag) and goesOnFrom(tonumber(ARGV[3]), ARGV[4]) then\n  goesOn = 1\n  from = number + 1\nend\nlocal upTo = math.min(last, from + tonumber(ARGV[5]) - 1)\nlocal reply = {goesOn, from, upTo, tag, last, latest, first}\nif from > last then\n  reply[3] = last\n  reply[4] = latest\nend\n\nlocal seen = {}\n\nfor at = from, upTo do\n  local line = redis.call('HGET', hash, 'j' .. string.format('%.0f', at))\n  if line then\n    reply[4] = string.sub(line, 1, 8)\n    local id = string.sub(line, 31)\n    if not seen[id] then\n      seen[id] = true\n      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)\n      reply[#reply + 1] = {id, row[1] or '', row[2] or ''}\n    end\n  end\nend\nreturn reply\n",
}
export default script
