// Generated from lock/raise.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/raise',
sha1: '81cd6f61bdf2002192b0241e2999ddc8aa0875c2',
run(redis) {
let known: lua.Value = lua.or(lua.tonumber(redis.call("HGET", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1))), () => 0)
let ms: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
if (lua.yes(lua.le(ms, known))) {
return known
}
redis.call("HSET", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1), ms)
return ms
},
}
export default twin
