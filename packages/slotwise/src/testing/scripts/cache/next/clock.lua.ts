// Generated from cache/next/clock.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/clock',
sha1: 'd60607f1bd64c79270ec15f1d3b2bbf130f51d0d',
run(redis) {
let time: lua.Value = redis.call("TIME")
return lua.table([(lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000)))), redis.call("EXISTS", lua.index(redis.KEYS, 1))])
},
}
export default twin
