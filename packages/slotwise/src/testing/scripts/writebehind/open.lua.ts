// Generated from writebehind/open.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/open',
sha1: '04c2072dc051f68d1015f54189d79f9fe7f80698',
run(redis) {
let was: lua.Value = lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), "p"), () => "")
let sealed: lua.Value = lua.eq(lua.sub(was, 1, 1), ">")
if ((lua.yes(lua.eq(was, "")) || (lua.yes(sealed) && lua.yes(lua.le(lua.tonumber(lua.sub(was, 2, 11)), lua.tonumber(lua.sub(lua.index(redis.ARGV, 1), 1, 10))))))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "p", lua.index(redis.ARGV, 1))
return lua.index(redis.ARGV, 1)
}
return was
},
}
export default twin
