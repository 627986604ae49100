// Generated from ratelimit/show.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/show',
sha1: '27f3179ae57ccf680bdc0e302c8e8223a9f3f735',
run(redis) {
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (!lua.yes(saved)) {
return ""
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
return lua.concat(lua.pack(">dd", now, redis.call("PTTL", lua.index(redis.KEYS, 1))), saved)
},
}
export default twin
