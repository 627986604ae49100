// Generated from invalidation/tags/look.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'invalidation/tags/look',
sha1: 'ff2b3d40400c0cbe4e1ae7c40763241eaa7f1bb8',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "m")
let version: lua.Value = lua.index(saved, 1)
if (lua.yes(lua.index(saved, 2))) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
if (lua.yes(lua.lt(now, lua.tonumber(lua.index(saved, 2))))) {
return false
}
version = false
}
if (!lua.yes(version)) {
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 1))
}
if (lua.yes(lua.index(saved, 2))) {
let fields: lua.Value = redis.call("HKEYS", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields))) {
if (lua.yes(!lua.eq(lua.index(fields, i), "v"))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.index(fields, i))
}
}
}
let keep: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
if (lua.yes(lua.lt(redis.call("PTTL", lua.index(redis.KEYS, 1)), keep))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.format("%.0f", (2 * lua.num(keep))))
}
return lua.or(version, () => lua.index(redis.ARGV, 1))
},
}
export default twin
