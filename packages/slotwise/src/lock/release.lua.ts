// Generated from release.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'lock', 'owner'> = {
  name: 'lock/release',
  keys: ['lock'],
  args: ['owner'],
  sha1: 'ff6ccb8f9a2adb9b8e685aad8f04ba0bf3e88bcf',
  source: "\n\n\n\n\n\nlocal CLAIM_MS = 1000\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f', 'q', 'h')\nlocal line = saved[4] or ''\nif saved[1] ~= ARGV[1] then\n  local found = string.find(line, ARGV[1], 1, true)\n  if found then\n    line = string.sub(line, 1, found - 1) .. string.sub(line, found + 35)\n    redis.call('HDEL', KEYS[1], 'q')\n    if line ~= '' then redis.call('HSET', KEYS[1], 'q', line) end\n  end\n  return -1\nend\n\nlocal verdict = 0\nif saved[3] and tonumber(saved[2]) > now then verdict = 1 end\n\nwhile line ~= '' and tonumber(string.sub(line, 23, 35)) <= now do line = string.sub(line, 36) end\nif line ~= '' then\n  local first = string.sub(line, 1, 22)\n  line = string.sub(line, 36)\n  redis.call('PEXPIRE', KEYS[1], math.max(CLAIM_MS, redis.call('PTTL', KEYS[1])))\n  redis.call('HDEL', KEYS[1], 'f', 'b')\n  redis.call('HSET', KEYS[1], 'o', first, 'e', string.format('%.0f', now + CLAIM_MS), 'q', line)\n\n  redis.pcall('SPUBLISH', KEYS[1], first .. string.sub(line, 1, 22))\nelseif saved[5] then\n\n  redis.call('HDEL', KEYS[1], 'o', 'e', 'f', 'b', 'q')\nelse\n  redis.call('DEL', KEYS[1])\nend\nreturn verdict\n",
}
export default script
