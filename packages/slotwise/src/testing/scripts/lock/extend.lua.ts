// Generated from lock/extend.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/extend',
sha1: '7534d67516cdd4b9f18f9f0430052037d4ab343b',
run(redis) {
const put: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV, 2))
redis.call("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2))
}
return []
})
let RETAIN_MS: lua.Value = 60000
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (((!lua.yes(saved) || lua.yes(!lua.eq(lua.sub(saved, 1, 22), lua.index(redis.ARGV, 1)))) || lua.yes(!lua.eq(lua.sub(saved, 52, 52), "h")))) {
return -1
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let before: lua.Value = lua.tonumber(lua.sub(saved, 23, 35))
if (lua.yes(lua.le(before, now))) {
return 0
}
let ends: lua.Value = lua.max((lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2)))), lua.min(before, (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))))
let keeping: lua.Value = lua.sub(saved, 53, 53)
let keep: lua.Value = (lua.num(ends) - lua.num(now))
if (lua.yes(lua.eq(keeping, "2"))) {
keep = (lua.num(keep) + lua.num(RETAIN_MS))
}
if ((lua.yes(!lua.eq(keeping, "0")) || lua.yes(lua.lt(ends, before)))) {
keep = lua.max(keep, redis.call("PTTL", lua.index(redis.KEYS, 1)))
}
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(lua.sub(saved, 1, 22), lua.concat(lua.format("%013.0f", ends), lua.sub(saved, 36))), keep])])[0]
return 1
},
}
export default twin
