// Generated from lock/once/finish.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/once/finish',
sha1: '4fcbcc2836026ab5ff7693048dbf9beb3f74c634',
run(redis) {
let RETAIN_MS: lua.Value = 60000
let keep: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f", "d", "h")
if (lua.yes(lua.eq(lua.index(saved, 4), lua.index(redis.ARGV, 1)))) {
return 1
}
if ((lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1))) || !lua.yes(lua.index(saved, 3)))) {
return -1
}
if (lua.yes(lua.le(lua.tonumber(lua.index(saved, 2)), now))) {
return 0
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "o", "b", "q")
redis.call("HSET", lua.index(redis.KEYS, 1), "d", lua.index(redis.ARGV, 1), "v", lua.index(redis.ARGV, 2), "e", lua.format("%.0f", (lua.num(now) + lua.num(keep))))
if (lua.yes(lua.index(saved, 5))) {
keep = (lua.num(keep) + lua.num(RETAIN_MS))
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), keep)
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "*")
return 1
},
}
export default twin
