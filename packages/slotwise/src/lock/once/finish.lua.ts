// Generated from finish.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../../redis/script.js'

const script: ScriptSource<'lock', 'owner' | 'result' | 'keep_ms'> = {
  name: 'lock/once/finish',
  keys: ['lock'],
  args: ['owner', 'result', 'keep_ms'],
  sha1: 'e4e00aa57b16c551f1c9f938d67321c0c57a9db8',
  source: "\n\n\n\n\n\n\n\nlocal function put(KEYS, ARGV)\n\n\n\n\n\n\n\n\nif redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]).err then\n  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\nend\n\nend\nlocal RETAIN_MS = 60000\nlocal keep = tonumber(ARGV[3])\nlocal time = redis.call('TIME')\nlocal now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n\nlocal saved = redis.call('GET', KEYS[1])\nif not saved or string.sub(saved, 1, 22) ~= ARGV[1] then return -1 end\nlocal state, keeping = string.sub(saved, 52, 52), string.sub(saved, 53, 53)\nif state == 'd' then return 1 end\nif state ~= 'h' then return -1 end\nif tonumber(string.sub(saved, 23, 35)) <= now then return 0 end\nlocal record = ARGV[1] .. string.format('%013.0f', now + keep) .. string.sub(saved, 36, 51) .. 'd' .. keeping .. '0000' .. ARGV[2]\nif keeping == '2' then keep = keep + RETAIN_MS end\nput({ KEYS[1] }, { record, keep })\n\nredis.pcall('SPUBLISH', KEYS[1], '*')\nreturn 1\n",
}
export default script
