// Generated from cache/invalidate.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/invalidate',
sha1: '4fa5845c963912cbebe6df3ada7bb1cbc376a5f8',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "n", "o")
let value: lua.Value = lua.or(lua.index(saved, 1), () => lua.index(saved, 3))
let lives: lua.Value = lua.or(lua.and(lua.index(saved, 1), () => lua.tonumber(lua.index(redis.ARGV, 1))), () => redis.call("PTTL", lua.index(redis.KEYS, 1)))
let there: lua.Value = 1
if ((lua.yes(value) && lua.yes(lua.gt(lives, 0)))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lives)
redis.call("HSET", lua.index(redis.KEYS, 1), "o", value)
let fields: lua.Value = redis.call("HKEYS", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields))) {
if (lua.yes(!lua.eq(lua.index(fields, i), "o"))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.index(fields, i))
}
}
} else {
there = redis.call("DEL", lua.index(redis.KEYS, 1))
}
if (lua.yes(lua.index(saved, 2))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return there
},
}
export default twin
