// Generated from cache/local/reprove.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/local/reprove',
sha1: 'f10e68f192586964dc162698b91f3c264fbc74ed',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "x")
let lives: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
if ((lua.yes(lua.index(saved, 1)) && lua.yes(lua.eq(lua.sub(lua.index(saved, 1), 6, 13), lua.index(redis.ARGV, 1))))) {
return lua.table([1, (lua.num(lives) - lua.num(lua.or(lua.tonumber(lua.index(saved, 2)), () => 0)))])
}
return lua.table([0, lua.index(saved, 1), lua.index(saved, 2), lives])
},
}
export default twin
