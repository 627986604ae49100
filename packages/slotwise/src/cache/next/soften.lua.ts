// Generated from soften.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'tag', 'fresh' | 'former' | 'change' | 'stale_ms' | 'keep_ms'> = {
  name: 'cache/next/soften',
  keys: ['tag'],
  args: ['fresh', 'former', 'change', 'stale_ms', 'keep_ms'],
  sha1: 'd84cfc3deaa7b3cf097d50f68ed443fe4a45c457',
  source: "\n\n\n\n\n\n\n\n\n\n\n\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\nlocal at, ends = string.format('%.0f', now), string.format('%.0f', now + tonumber(ARGV[4]))\nlocal fields = redis.call('HGETALL', KEYS[1])\nlocal version = redis.call('HGET', KEYS[1], 'v')\nlocal count, oldest, since = 0, '', now + 1\n\n\nfor i = 1, #fields, 2 do\n  local kind, former = string.sub(fields[i], 1, 2), string.sub(fields[i], 3)\n  if kind == 'g:' then\n    if tonumber(fields[i + 1]) <= now then\n      redis.call('HDEL', KEYS[1], 'g:' .. former, 't:' .. former)\n    elseif tonumber(fields[i + 1]) > tonumber(ends) then\n\n      redis.call('HSET', KEYS[1], 'g:' .. former, ends)\n    end\n  elseif kind == 't:' then\n    count = count + 1\n    if tonumber(fields[i + 1]) < since then\n      since = tonumber(fields[i + 1])\n      oldest = former\n    end\n  end\nend\nif count >= 32 then redis.call('HDEL', KEYS[1], 'g:' .. oldest, 't:' .. oldest) end\nif not version then version = ARGV[2] end\nredis.call('HSET', KEYS[1], 'v', ARGV[1], 'c', at, 'i', ARGV[3], 't:' .. version, at, 'g:' .. version, ends)\nif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end\nreturn 1\n",
}
export default script
