// Generated from lock/release.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/release',
sha1: 'ff6ccb8f9a2adb9b8e685aad8f04ba0bf3e88bcf',
run(redis) {
let CLAIM_MS: lua.Value = 1000
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f", "q", "h")
let line: lua.Value = lua.or(lua.index(saved, 4), () => "")
if (lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
let found: lua.Value = lua.find(line, lua.index(redis.ARGV, 1), 1, true)[0]
if (lua.yes(found)) {
line = lua.concat(lua.sub(line, 1, (lua.num(found) - 1)), lua.sub(line, (lua.num(found) + 35)))
redis.call("HDEL", lua.index(redis.KEYS, 1), "q")
if (lua.yes(!lua.eq(line, ""))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "q", line)
}
}
return -1
}
let verdict: lua.Value = 0
if ((lua.yes(lua.index(saved, 3)) && lua.yes(lua.gt(lua.tonumber(lua.index(saved, 2)), now)))) {
verdict = 1
}
while ((lua.yes(!lua.eq(line, "")) && lua.yes(lua.le(lua.tonumber(lua.sub(line, 23, 35)), now)))) {
line = lua.sub(line, 36)
}
if (lua.yes(!lua.eq(line, ""))) {
let first: lua.Value = lua.sub(line, 1, 22)
line = lua.sub(line, 36)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.max(CLAIM_MS, redis.call("PTTL", lua.index(redis.KEYS, 1))))
redis.call("HDEL", lua.index(redis.KEYS, 1), "f", "b")
redis.call("HSET", lua.index(redis.KEYS, 1), "o", first, "e", lua.format("%.0f", (lua.num(now) + lua.num(CLAIM_MS))), "q", line)
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), lua.concat(first, lua.sub(line, 1, 22)))
} else if (lua.yes(lua.index(saved, 5))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "o", "e", "f", "b", "q")
} else {
redis.call("DEL", lua.index(redis.KEYS, 1))
}
return verdict
},
}
export default twin
