// Generated from take.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'number' | 'tag' | 'most'> = {
  name: 'writebehind/take',
  keys: ['partition'],
  args: ['number', 'tag', 'most'],
  sha1: '827413822f383f35c7461a497dc4d64fe6b0b589',
  source: "\n\n\n\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal number, tag = tonumber(ARGV[1]), ARGV[2]\nlocal meta = redis.call('HMGET', hash, 'f', 'l', 't')\nlocal first, last, latest = tonumber(meta[1] or 1), tonumber(meta[2] or 0), meta[3] or string.rep('\\0', 8)\n\nlocal goesOn = 0\nif number == last then\n  if tag == latest then goesOn = 1 end\nelseif number >= first - 1 and number < last then\n\n  local next = redis.call('HGET', hash, 'j' .. string.format('%.0f', number + 1))\n  if next and string.sub(next, 9, 16) == tag then goesOn = 1 end\nend\nlocal from = first\nif goesOn == 1 then from = number + 1 end\nlocal upTo = math.min(last, from + tonumber(ARGV[3]) - 1)\nlocal reply = {goesOn, from, upTo, tag, last - upTo}\nif from > last then\n  reply[3] = last\n  reply[4] = latest\nend\n\nlocal seen = {}\n\nfor at = from, upTo do\n  local line = redis.call('HGET', hash, 'j' .. string.format('%.0f', at))\n  if line then\n    reply[4] = string.sub(line, 1, 8)\n    local id = string.sub(line, 17)\n    if not seen[id] then\n      seen[id] = true\n      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)\n      local told = {id, row[1] or ''}\n      local names = row[2] or ''\n      local place = 1\n\n      while place <= #names do\n        local ends = place + string.byte(names, place)\n        told[#told + 1] = string.sub(names, place + 1, ends)\n        told[#told + 1] = redis.call('HGET', hash, 'c' .. string.sub(names, place, ends) .. id) or ''\n        place = ends + 1\n      end\n      reply[#reply + 1] = told\n    end\n  end\nend\nreturn reply\n",
}
export default script
