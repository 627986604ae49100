// Generated from lock/release.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/release',
sha1: '630e0c1e35411a5660f8c6b78e38c8b1066bf53b',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e")
if (lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
return -1
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "o", "e")
if (lua.yes(lua.gt(lua.tonumber(lua.index(saved, 2)), now))) {
return 1
}
return 0
},
}
export default twin
