// Generated from trim.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'to' | 'tag' | 'fresh'> = {
  name: 'writebehind/trim',
  keys: ['partition'],
  args: ['to', 'tag', 'fresh'],
  sha1: '4db066f67650c5b041af17c65a0a02b0d28c0309',
  source: "\n\n\n\n\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal last = redis.call('HGET', hash, 'j' .. ARGV[1])\nif not last or string.sub(last, 1, 8) ~= ARGV[2] then return 0 end\nlocal meta = redis.call('HMGET', hash, 'f', 'b')\nlocal first, size = tonumber(meta[1] or 1), tonumber(meta[2] or 0)\nlocal to = tonumber(ARGV[1])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal removed = redis.call('HGET', hash, 'y')\nlocal since, every = now, 0\nif removed then\n  since, every = tonumber(string.sub(removed, 9, 22)) or now, tonumber(string.sub(removed, 23)) or 0\nend\n\nlocal oldest = redis.call('HGET', hash, 'j' .. string.format('%.0f', first))\nif oldest and (not removed or tonumber(string.sub(oldest, 17, 30)) > since) then\n  since = tonumber(string.sub(oldest, 17, 30))\nend\nlocal took = math.max(0, now - since)\nif removed then took = math.floor((took + every) / 2) end\n\nfor number = first, to do\n  local place = 'j' .. string.format('%.0f', number)\n  local line = redis.call('HGET', hash, place)\n  if line then\n    local id = string.sub(line, 31)\n    redis.call('HDEL', hash, place)\n    size = size - 30 - #id\n    if redis.call('HGET', hash, 'g' .. id) == string.sub(line, 1, 8) then\n      local row = redis.call('HMGET', hash, 's' .. id, 'n' .. id)\n      redis.call('HDEL', hash, 's' .. id, 'n' .. id, 'g' .. id)\n      size = size - #(row[1] or '') - #(row[2] or '')\n    end\n  end\nend\nredis.call('HSET', hash, 'f', string.format('%.0f', to + 1), 'b', string.format('%.0f', size),\n  'y', ARGV[3] .. string.format('%014.0f%.0f', now, took))\nreturn to - first + 1\n",
}
export default script
