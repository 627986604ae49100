// Generated from cache/invalidate.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/invalidate',
sha1: '85dda407d8a52520c98f62e86993c28dabe90f1d',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "n", "o")
let value: lua.Value = lua.or(lua.index(saved, 1), () => lua.index(saved, 3))
let lives: lua.Value = lua.or(lua.and(lua.index(saved, 1), () => lua.tonumber(lua.index(redis.ARGV, 1))), () => redis.call("PTTL", lua.index(redis.KEYS, 1)))
let there: lua.Value = redis.call("DEL", lua.index(redis.KEYS, 1))
if ((lua.yes(value) && lua.yes(lua.gt(lives, 0)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "o", value)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lives)
}
if (lua.yes(lua.index(saved, 2))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return there
},
}
export default twin
