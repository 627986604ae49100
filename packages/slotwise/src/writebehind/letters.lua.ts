// Generated from letters.lua by `npm run generate`: change that file, not this one.
import type { ScriptSource } from '../redis/script.js'

const script: ScriptSource<'partition', 'from' | 'most'> = {
  name: 'writebehind/letters',
  keys: ['partition'],
  args: ['from', 'most'],
  sha1: 'c55205d6172a599ee61e00711a8ee77a55da9f1d',
  source: "\n\n\n\n\n\n\nlocal hash = KEYS[1]\nlocal count = tonumber(redis.call('HGET', hash, 'c') or 0)\nlocal from = tonumber(ARGV[1])\nif from == 0 or from > count then from = count end\nlocal upTo = math.max(1, from - tonumber(ARGV[2]) + 1)\nlocal reply = {upTo - 1}\n\nfor place = from, upTo, -1 do\n  local id = redis.call('HGET', hash, 'i' .. string.format('%.0f', place)) or ''\n  local letter = redis.call('HGET', hash, 'x' .. id)\n  if letter then reply[#reply + 1] = {id, string.sub(letter, 15, 22), string.sub(letter, 23)} end\nend\nreturn reply\n",
}
export default script
