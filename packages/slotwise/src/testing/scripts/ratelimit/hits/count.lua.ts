// Generated from ratelimit/hits/count.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/hits/count',
sha1: 'f3238f3b8537612fd26d15a759bef7c7bdf58701',
run(redis) {
let window: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
let max: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let beyond: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let hits: lua.Value = redis.call("INCR", lua.index(redis.KEYS, 1))
let left: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let over: lua.Value = (lua.num(hits) - lua.num(max))
if ((lua.yes(lua.lt(left, 0)) || (lua.yes(lua.eq(beyond, 1)) && lua.yes(lua.gt(over, 0))))) {
left = window
} else if ((lua.yes(lua.eq(beyond, 2)) && lua.yes(lua.gt(over, 0)))) {
left = lua.max(window, lua.min((lua.num(window) * lua.num((2 ** lua.num((lua.num(over) - 1))))), 31536000000))
} else {
return lua.table([hits, left])
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), left)
return lua.table([hits, left])
},
}
export default twin
