// Generated from release.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'entry', 'token'> = {
  name: 'cache/release',
  keys: ['entry'],
  args: ['token'],
  sha1: 'cc66b98522bb7c9b78aaf1ad5b53deabaffd4914',
  source: "\n\n\n\n\n\nif redis.call('HGET', KEYS[1], 'l') ~= ARGV[1] then return 0 end\nreturn redis.call('DEL', KEYS[1])\n",
}
export default script
