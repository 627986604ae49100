// Generated from cache/next/expire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/expire',
sha1: '6b08534f8a968875fb341b8a558564e0f85991f1',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let at: lua.Value = lua.format("%.0f", now)
redis.call("DEL", lua.index(redis.KEYS, 1))
redis.call("HSET", lua.index(redis.KEYS, 1), "c", at, "h", at, "i", lua.index(redis.ARGV, 1))
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
return 1
},
}
export default twin
