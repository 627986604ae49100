// Generated from cache/intend.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/intend',
sha1: '3962de2363e523fd6b82de0209294634c824e8d5',
run(redis) {
let intent: lua.Value = lua.concat("w:", lua.index(redis.ARGV, 1))
let keep: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let value: lua.Value = lua.and(lua.gt(keep, 0), () => redis.call("HGET", lua.index(redis.KEYS, 1), "v"))
let woken: lua.Value = redis.call("HGET", lua.index(redis.KEYS, 1), "n")
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let latest: lua.Value = (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2))))
let contested: lua.Value = 0
redis.call("HDEL", lua.index(redis.KEYS, 1), intent)
redis.call("HSET", lua.index(redis.KEYS, 1), intent, lua.format("%.0f", latest))
if (lua.yes(value)) {
redis.call("HSET", lua.index(redis.KEYS, 1), "o", value)
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "l", "d", "x", "n", "r")
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
if ((lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 2), "w:")) && lua.yes(!lua.eq(lua.index(fields, i), intent)))) {
let ends: lua.Value = lua.tonumber(lua.index(fields, (lua.num(i) + 1)))
if (lua.yes(lua.gt(ends, now))) {
contested = 1
latest = lua.max(latest, ends)
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.index(fields, i))
}
}
}
redis.call("HSET", lua.index(redis.KEYS, 1), "m", lua.format("%.0f", latest))
if (lua.yes(lua.eq(contested, 1))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "c", "1")
}
let kept: lua.Value = 0
if (lua.yes(lua.eq(redis.call("HEXISTS", lua.index(redis.KEYS, 1), "o"), 1))) {
kept = lua.or(lua.and(value, () => keep), () => redis.call("PTTL", lua.index(redis.KEYS, 1)))
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.format("%.0f", lua.max((lua.num(latest) - lua.num(now)), kept)))
if (lua.yes(woken)) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return contested
},
}
export default twin
