// Generated from remainder.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', never> = {
  name: 'writebehind/remainder',
  keys: ['partition'],
  args: [],
  sha1: '93decedec89fd39a554b0bfcd34dfb13bf27dc37',
  source: "\n\n\n\n\nlocal hash = KEYS[1]\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal meta = redis.call('HMGET', hash, 'p', 'f', 'l', 'b', 'qf', 'ql')\nlocal head, tail = tonumber(meta[5] or 1), tonumber(meta[6] or 0)\nlocal lines = tonumber(meta[3] or 0) - tonumber(meta[2] or 1) + 1\nlocal wait = 0\nif string.sub(meta[1] or '', 1, 1) == '>' then\n\n  for _ = 1, math.min(1000, tail - head + 1) do\n    local place = 'q' .. string.format('%.0f', head)\n    local mark = redis.call('HGET', hash, place)\n    local answer = mark and redis.call('HGET', hash, 'm' .. mark)\n    wait = 0\n    if answer then wait = tonumber(string.sub(answer, 1, 14)) - now end\n    if wait > 0 then break end\n\n    if mark then redis.call('HDEL', hash, place, 'm' .. mark) end\n    head = head + 1\n  end\n  if head ~= tonumber(meta[5] or 1) then\n\n    redis.call('HDEL', hash, 'w')\n    redis.call('HSET', hash, 'qf', string.format('%.0f', head))\n  end\nend\nreturn {meta[1] or '', lines, tonumber(meta[4] or 0), math.max(0, tail - head + 1), math.max(0, wait)}\n",
}
export default script
