// Generated from cache/release.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/release',
sha1: '1f23f60b9ea7a65e700d5542d5efff655e228652',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "l", "v", "o", "r", "n", "x")
if (lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
return 0
}
if (!((lua.yes(lua.index(saved, 2)) || lua.yes(lua.index(saved, 3))) || lua.yes(lua.index(saved, 4)))) {
redis.call("DEL", lua.index(redis.KEYS, 1))
} else {
let lives: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let left: lua.Value = (lua.num(lives) - lua.num(lua.or(lua.tonumber(lua.index(saved, 6)), () => 0)))
redis.call("HDEL", lua.index(redis.KEYS, 1), "l", "d", "n")
if ((lua.yes(lua.index(saved, 2)) && lua.yes(lua.le(left, 0)))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "x")
} else if (lua.yes(lua.index(saved, 2))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "x")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), left)
let hold: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
if (lua.yes(lua.gt(hold, 0))) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
redis.call("HSET", lua.index(redis.KEYS, 1), "d", lua.format("%.0f", (lua.num(now) + lua.num(lua.min(hold, left)))))
}
}
}
if (lua.yes(lua.index(saved, 5))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return 1
},
}
export default twin
