// Generated from lock/settle.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/settle',
sha1: 'cf08f94ebd2df0d9ce44aba53c5d614c906c54ad',
run(redis) {
let NOBODY: lua.Value = "nobody"
let mark: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "r", "p")
if (((!lua.yes(lua.index(mark, 1)) || lua.yes(lua.eq(lua.index(mark, 1), NOBODY))) || lua.yes(lua.eq(lua.index(mark, 1), lua.index(redis.ARGV, 1))))) {
return 0
}
if ((lua.yes(!lua.eq(lua.index(redis.ARGV, 2), "")) && lua.yes(lua.eq(lua.index(mark, 2), lua.index(redis.ARGV, 2))))) {
return 0
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "r", NOBODY, "p", NOBODY)
return 1
},
}
export default twin
