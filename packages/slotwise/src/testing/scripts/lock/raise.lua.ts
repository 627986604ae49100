// Generated from lock/raise.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/raise',
sha1: '1862317d35709deee13a2ce0fb20a25c8be6a488',
run(redis) {
let saved: lua.Value = lua.tonumber(redis.call("HGET", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1)))
let ms: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
if ((lua.yes(saved) && lua.yes(!lua.eq(lua.eq(saved, 0), lua.eq(ms, 0))))) {
return -1
}
if ((lua.yes(saved) && lua.yes(lua.le(ms, saved)))) {
return saved
}
redis.call("HSET", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1), ms)
return ms
},
}
export default twin
