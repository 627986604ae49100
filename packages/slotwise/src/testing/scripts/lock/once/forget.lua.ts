// Generated from lock/once/forget.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/once/forget',
sha1: '3959e98155535a35b367994858f54f2af467a8e1',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "e", "h")
if (!lua.yes(lua.index(saved, 1))) {
return 0
}
if (lua.yes(lua.index(saved, 3))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "d", "e", "f")
} else {
redis.call("DEL", lua.index(redis.KEYS, 1))
}
if (lua.yes(lua.gt(lua.tonumber(lua.index(saved, 2)), now))) {
return 1
}
return 0
},
}
export default twin
