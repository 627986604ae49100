// Generated from cache/settle.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/settle',
sha1: 'ba8b308f6d24f2b8aa63281f77574e68827a7659',
run(redis) {
let intent: lua.Value = lua.concat("w:", lua.index(redis.ARGV, 1))
let linger: lua.Value = lua.tonumber(lua.index(redis.ARGV, 5))
let keep: lua.Value = lua.tonumber(lua.index(redis.ARGV, 6))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), intent, "c", "v", "n")
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let ends: lua.Value = lua.tonumber(lua.index(saved, 1))
if ((((lua.yes(lua.eq(lua.index(redis.ARGV, 2), "1")) && lua.yes(ends)) && lua.yes(lua.lt(now, ends))) && !lua.yes(lua.index(saved, 2)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 3))
redis.call("HDEL", lua.index(redis.KEYS, 1), intent, "m", "o", "r")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 4))
return 1
}
if ((lua.yes(lua.index(saved, 3)) && lua.yes(lua.gt(keep, 0)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "o", lua.index(saved, 3))
}
if (lua.yes(lua.gt(linger, 0))) {
redis.call("HSET", lua.index(redis.KEYS, 1), intent, lua.format("%.0f", (lua.num(now) + lua.num(linger))))
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), intent)
}
let latest: lua.Value = 0
let others: lua.Value = false
let kept: lua.Value = false
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
if (lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 2), "w:"))) {
let until_: lua.Value = lua.tonumber(lua.index(fields, (lua.num(i) + 1)))
latest = lua.max(latest, until_)
if ((lua.yes(!lua.eq(lua.index(fields, i), intent)) && lua.yes(lua.gt(until_, now)))) {
others = true
}
} else if (lua.yes(lua.eq(lua.index(fields, i), "o"))) {
kept = true
}
}
let lives: lua.Value = lua.max((lua.num(latest) - lua.num(now)), 0)
if (lua.yes(kept)) {
lives = lua.max(lives, lua.or(lua.and(lua.index(saved, 3), () => keep), () => redis.call("PTTL", lua.index(redis.KEYS, 1))))
}
if (lua.yes(lua.eq(lives, 0))) {
redis.call("DEL", lua.index(redis.KEYS, 1))
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "l", "d", "x", "n", "r")
if (lua.yes(lua.gt(latest, now))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "m", lua.format("%.0f", latest))
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), "m", "c")
}
if (lua.yes(others)) {
redis.call("HSET", lua.index(redis.KEYS, 1), "c", "1")
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.format("%.0f", lives))
}
if (lua.yes(lua.index(saved, 4))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return 0
},
}
export default twin
