// Generated from cache/acquire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/acquire',
sha1: '40748aba921aa8e6beaf038e820549d66b7afd97',
run(redis) {
let token: lua.Value = lua.index(redis.ARGV, 1)
let lease: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "d", "m", "x")
let lives: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let left: lua.Value = (lua.num(lives) - lua.num(lua.or(lua.tonumber(lua.index(saved, 4)), () => 0)))
let usable: lua.Value = lua.and(lua.index(saved, 1), () => lua.gt(left, 0))
if ((lua.yes(usable) && lua.yes(!lua.eq(lua.sub(lua.index(saved, 1), 6, 13), lua.index(redis.ARGV, 3))))) {
return lua.table([0, lua.index(saved, 1), left])
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let deadline: lua.Value = lua.tonumber(lua.index(saved, 2))
let written: lua.Value = lua.tonumber(lua.index(saved, 3))
if ((lua.yes(written) && lua.yes(lua.lt(now, written)))) {
return lua.table([3, (lua.num(written) - lua.num(now))])
}
if ((lua.yes(deadline) && lua.yes(lua.lt(now, deadline)))) {
if (lua.yes(lua.eq(lua.index(redis.ARGV, 4), "1"))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "n", "1")
}
return lua.table([2, (lua.num(deadline) - lua.num(now))])
}
redis.call("HSET", lua.index(redis.KEYS, 1), "l", token, "d", lua.format("%.0f", (lua.num(now) + lua.num(lease))))
redis.call("HDEL", lua.index(redis.KEYS, 1), "m", "c", "n")
if (lua.yes(usable)) {
if (lua.yes(lua.lt(lives, lease))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "x", lua.format("%.0f", (lua.num(lease) - lua.num(left))))
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lease)
}
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "x")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.max(lease, lives))
}
return lua.table([1, lease])
},
}
export default twin
