// Generated from lock/once/forget.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/once/forget',
sha1: '30486513756ad095ddd96f5c8530530549ba06b3',
run(redis) {
const put: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV, 2))
redis.call("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2))
}
return []
})
let RETAIN_MS: lua.Value = 60000
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if ((!lua.yes(saved) || lua.yes(!lua.eq(lua.sub(saved, 52, 52), "d")))) {
return 0
}
if (lua.yes(lua.eq(lua.sub(saved, 53, 53), "2"))) {
let left: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
if (lua.yes(lua.lt(left, 1))) {
left = RETAIN_MS
}
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(lua.sub(saved, 1, 51), "-20000"), left])])[0]
} else {
redis.call("DEL", lua.index(redis.KEYS, 1))
}
if (lua.yes(lua.gt(lua.tonumber(lua.sub(saved, 23, 35)), now))) {
return 1
}
return 0
},
}
export default twin
