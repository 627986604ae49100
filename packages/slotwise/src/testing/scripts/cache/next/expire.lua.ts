// Generated from cache/next/expire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/expire',
sha1: '59b77cf49d818a143dc5af8e6ce1a92ebdb70f16',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let at: lua.Value = lua.format("%.0f", now)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
redis.call("HSET", lua.index(redis.KEYS, 1), "c", at, "h", at, "i", lua.index(redis.ARGV, 1))
let fields: lua.Value = redis.call("HKEYS", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields))) {
let field: lua.Value = lua.index(fields, i)
if (((lua.yes(!lua.eq(field, "c")) && lua.yes(!lua.eq(field, "h"))) && lua.yes(!lua.eq(field, "i")))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), field)
}
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
return 1
},
}
export default twin
