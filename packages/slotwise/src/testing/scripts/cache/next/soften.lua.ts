// Generated from cache/next/soften.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/soften',
sha1: 'd84cfc3deaa7b3cf097d50f68ed443fe4a45c457',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let at: lua.Value = lua.format("%.0f", now)
let ends: lua.Value = lua.format("%.0f", (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 4)))))
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
let version: lua.Value = redis.call("HGET", lua.index(redis.KEYS, 1), "v")
let count: lua.Value = 0
let oldest: lua.Value = ""
let since: lua.Value = (lua.num(now) + 1)
for (let i of lua.steps(1, lua.len(fields), 2)) {
let kind: lua.Value = lua.sub(lua.index(fields, i), 1, 2)
let former: lua.Value = lua.sub(lua.index(fields, i), 3)
if (lua.yes(lua.eq(kind, "g:"))) {
if (lua.yes(lua.le(lua.tonumber(lua.index(fields, (lua.num(i) + 1))), now))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.concat("g:", former), lua.concat("t:", former))
} else if (lua.yes(lua.gt(lua.tonumber(lua.index(fields, (lua.num(i) + 1))), lua.tonumber(ends)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), lua.concat("g:", former), ends)
}
} else if (lua.yes(lua.eq(kind, "t:"))) {
count = (lua.num(count) + 1)
if (lua.yes(lua.lt(lua.tonumber(lua.index(fields, (lua.num(i) + 1))), since))) {
since = lua.tonumber(lua.index(fields, (lua.num(i) + 1)))
oldest = former
}
}
}
if (lua.yes(lua.ge(count, 32))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.concat("g:", oldest), lua.concat("t:", oldest))
}
if (!lua.yes(version)) {
version = lua.index(redis.ARGV, 2)
}
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 1), "c", at, "i", lua.index(redis.ARGV, 3), lua.concat("t:", version), at, lua.concat("g:", version), ends)
if (lua.yes(lua.lt(redis.call("PTTL", lua.index(redis.KEYS, 1)), lua.tonumber(lua.index(redis.ARGV, 5))))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 5))
}
return 1
},
}
export default twin
