// Generated from writebehind/seal.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/seal',
sha1: 'a853cbfe94405544a170ba8451b0d960aef50a3b',
run(redis) {
let was: lua.Value = lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), "p"), () => "")
let digits: lua.Value = lua.sub(was, 1, 10)
if (lua.yes(lua.eq(lua.sub(was, 1, 1), ">"))) {
digits = lua.sub(was, 2, 11)
}
if (((lua.yes(lua.eq(was, "")) || lua.yes(lua.eq(was, lua.concat(">", lua.index(redis.ARGV, 1))))) || lua.yes(lua.lt(lua.tonumber(digits), lua.tonumber(lua.sub(lua.index(redis.ARGV, 1), 1, 10)))))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "p", lua.concat(">", lua.index(redis.ARGV, 1)))
return lua.concat(">", lua.index(redis.ARGV, 1))
}
return was
},
}
export default twin
