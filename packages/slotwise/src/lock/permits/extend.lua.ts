// Generated from extend.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'ttl_ms' | 'longest_ms'> = {
  name: 'lock/permits/extend',
  keys: ['lock'],
  args: ['owner', 'ttl_ms', 'longest_ms'],
  sha1: '82e18b5211b92fb3dfcd4958234d2a5a4a87a6b2',
  source: "\n\n\n\n\n\n\n\n\nlocal RETAIN_MS = 60000\nlocal ttl = tonumber(ARGV[2])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('HMGET', KEYS[1], 'o', 'h')\nlocal held = saved[1] or ''\nlocal mine = string.find(held, ARGV[1], 1, true)\n\nif not mine or string.sub(held, mine + 35, mine + 50) == '0000000000000000' then return -1 end\nlocal before = tonumber(string.sub(held, mine + 22, mine + 34))\nif before <= now then return 0 end\nif saved[2] then ttl = ttl + RETAIN_MS end\nlocal after = math.max(now + tonumber(ARGV[2]), math.min(before, now + tonumber(ARGV[3])))\nlocal ends = string.sub('000000000000' .. string.format('%.0f', after), -13)\n\n\nredis.call('PEXPIRE', KEYS[1], math.max(ttl, redis.call('PTTL', KEYS[1])))\nredis.call('HSET', KEYS[1], 'o', string.sub(held, 1, mine + 21) .. ends .. string.sub(held, mine + 35))\nreturn 1\n",
}
export default script
