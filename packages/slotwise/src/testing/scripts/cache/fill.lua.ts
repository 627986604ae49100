// Generated from cache/fill.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/fill',
sha1: '36d6ddb5aab6bbd1bea5e60a64f49be6351cd7d0',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "l", "d", "n")
if (lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
return 0
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
if (lua.yes(lua.ge(now, lua.tonumber(lua.index(saved, 2))))) {
return 0
}
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 2))
redis.call("HDEL", lua.index(redis.KEYS, 1), "l", "d", "x", "o", "n", "r")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 3))
if (lua.yes(lua.index(saved, 3))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return 1
},
}
export default twin
