// Generated from cache/store.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/store',
sha1: '6e6a6721bec6a08bf9942f66a06bc204b7669840',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "r", "m", "n")
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let written: lua.Value = lua.tonumber(lua.index(saved, 3))
if ((lua.yes(written) && lua.yes(lua.lt(now, written)))) {
if (lua.yes(lua.eq(lua.index(redis.ARGV, 3), "any"))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "c", "1")
}
return 0
}
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 3), "version")) && lua.yes(!lua.eq(lua.sub(lua.or(lua.index(saved, 1), () => ""), 6, 13), lua.index(redis.ARGV, 4))))) {
return 0
}
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 3), "mark")) && (lua.yes(lua.index(saved, 1)) || lua.yes(!lua.eq(lua.index(saved, 2), lua.index(redis.ARGV, 4)))))) {
return 0
}
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 1))
redis.call("HDEL", lua.index(redis.KEYS, 1), "l", "d", "x", "o", "n", "r", "m", "c")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
if (lua.yes(lua.index(saved, 4))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return 1
},
}
export default twin
