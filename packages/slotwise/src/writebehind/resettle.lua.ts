// Generated from resettle.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'settings', 'expected' | 'partitions' | 'changes' | 'moving' | 'former'> = {
  name: 'writebehind/resettle',
  keys: ['settings'],
  args: ['expected', 'partitions', 'changes', 'moving', 'former'],
  sha1: '8a143e072d53281537cd3a6c910a7f16b3e37ccc',
  source: "\n\n\n\n\n\n\n\n\n\nlocal was = redis.call('HMGET', KEYS[1], 'partitions', 'changes', 'moving', 'former')\nlocal now = (was[1] or '') .. '/' .. (was[2] or '0') .. '/' .. (was[3] or '') .. '/' .. (was[4] or '')\nlocal wanted = ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[4] .. '/' .. ARGV[5]\nif now == wanted then return 1 end\nif now ~= ARGV[1] then return 0 end\n\nredis.call('HDEL', KEYS[1], 'w')\nredis.call('HSET', KEYS[1], 'partitions', ARGV[2], 'changes', ARGV[3], 'moving', ARGV[4], 'former', ARGV[5])\nreturn 1\n",
}
export default script
