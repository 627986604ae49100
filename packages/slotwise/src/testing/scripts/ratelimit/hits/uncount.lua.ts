// Generated from ratelimit/hits/uncount.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/hits/uncount',
sha1: '67be44a407647e29c937e08e66a7b72cd9386e70',
run(redis) {
let hits: lua.Value = lua.tonumber(lua.or(redis.call("GET", lua.index(redis.KEYS, 1)), () => 0))
if (lua.yes(lua.lt(hits, 1))) {
return 0
}
redis.call("DECR", lua.index(redis.KEYS, 1))
return 1
},
}
export default twin
