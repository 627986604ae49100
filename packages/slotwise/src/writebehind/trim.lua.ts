// Generated from trim.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'to' | 'tag' | 'fresh' | 'owner'> = {
  name: 'writebehind/trim',
  keys: ['partition'],
  args: ['to', 'tag', 'fresh', 'owner'],
  sha1: 'eb509812b0696f86d0c967fa862e4a5c1378f804',
  source: "\n\n\n\n\n\n\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal owner, known = ARGV[4], redis.call('HGET', hash, 'o') or ''\nif string.sub(owner, 1, 1) == 't' and string.sub(known, 1, 1) == 't' and\n  tonumber(string.sub(known, 2)) > tonumber(string.sub(owner, 2)) then\n  return -1\nend\nlocal last = redis.call('HGET', hash, 'j' .. ARGV[1])\nif not last or string.sub(last, 1, 8) ~= ARGV[2] then return 0 end\nlocal meta = redis.call('HMGET', hash, 'f', 'b')\nlocal first, size = tonumber(meta[1] or 1), tonumber(meta[2] or 0)\nlocal to = tonumber(ARGV[1])\n\nfor number = first, to do\n  local place = 'j' .. string.format('%.0f', number)\n  local line = redis.call('HGET', hash, place)\n  if line then\n    local id = string.sub(line, 31)\n    redis.call('HDEL', hash, place)\n    size = size - 30 - #id\n    if redis.call('HGET', hash, 'g' .. id) == string.sub(line, 1, 8) then\n      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)\n      redis.call('HDEL', hash, 's' .. id, 'n' .. id, 'g' .. id)\n      size = size - #(row[1] or '') - #(row[2] or '')\n    end\n  end\nend\nredis.call('HSET', hash, 'f', string.format('%.0f', to + 1), 'b', string.format('%.0f', size), 'y', ARGV[3])\nreturn to - first + 1\n",
}
export default script
