// Generated from forget.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', never> = {
  name: 'lock/once/forget',
  keys: ['lock'],
  args: [],
  sha1: '30486513756ad095ddd96f5c8530530549ba06b3',
  source: "\n\n\n\n\nlocal function put(KEYS, ARGV)\n\n\n\n\n\n\n\n\nif redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]).err then\n  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\nend\n\nend\nlocal RETAIN_MS = 60000\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('GET', KEYS[1])\nif not saved or string.sub(saved, 52, 52) ~= 'd' then return 0 end\nif string.sub(saved, 53, 53) == '2' then\n  local left = redis.call('PTTL', KEYS[1])\n  if left < 1 then left = RETAIN_MS end\n  put({ KEYS[1] }, { string.sub(saved, 1, 51) .. '-20000', left })\nelse\n  redis.call('DEL', KEYS[1])\nend\nif tonumber(string.sub(saved, 23, 35)) > now then return 1 end\nreturn 0\n",
}
export default script
