// Generated from release.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token' | 'hold_ms'> = {
  name: 'cache/release',
  keys: ['entry'],
  args: ['token', 'hold_ms'],
  sha1: '1f23f60b9ea7a65e700d5542d5efff655e228652',
  source: "\n\n\n\n\n\n\n\nlocal saved = redis.call('HMGET', KEYS[1], 'l', 'v', 'o', 'r', 'n', 'x')\nif saved[1] ~= ARGV[1] then return 0 end\n\nif not (saved[2] or saved[3] or saved[4]) then\n  redis.call('DEL', KEYS[1])\nelse\n  local lives = redis.call('PTTL', KEYS[1])\n  local left = lives - (tonumber(saved[6]) or 0)\n  redis.call('HDEL', KEYS[1], 'l', 'd', 'n')\n  if saved[2] and left <= 0 then\n    redis.call('HDEL', KEYS[1], 'v', 'x')\n  elseif saved[2] then\n    redis.call('HDEL', KEYS[1], 'x')\n    redis.call('PEXPIRE', KEYS[1], left)\n    local hold = tonumber(ARGV[2])\n    if hold > 0 then\n      local time = redis.call('TIME')\n      local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\n      redis.call('HSET', KEYS[1], 'd', string.format('%.0f', now + math.min(hold, left)))\n    end\n  end\nend\nif saved[5] then redis.pcall('SPUBLISH', KEYS[1], '') end\nreturn 1\n",
}
export default script
