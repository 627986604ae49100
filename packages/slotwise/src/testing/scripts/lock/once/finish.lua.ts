// Generated from lock/once/finish.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/once/finish',
sha1: 'e4e00aa57b16c551f1c9f938d67321c0c57a9db8',
run(redis) {
const put: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV, 2))
redis.call("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2))
}
return []
})
let RETAIN_MS: lua.Value = 60000
let keep: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if ((!lua.yes(saved) || lua.yes(!lua.eq(lua.sub(saved, 1, 22), lua.index(redis.ARGV, 1))))) {
return -1
}
let state: lua.Value = lua.sub(saved, 52, 52)
let keeping: lua.Value = lua.sub(saved, 53, 53)
if (lua.yes(lua.eq(state, "d"))) {
return 1
}
if (lua.yes(!lua.eq(state, "h"))) {
return -1
}
if (lua.yes(lua.le(lua.tonumber(lua.sub(saved, 23, 35)), now))) {
return 0
}
let record: lua.Value = lua.concat(lua.index(redis.ARGV, 1), lua.concat(lua.format("%013.0f", (lua.num(now) + lua.num(keep))), lua.concat(lua.sub(saved, 36, 51), lua.concat("d", lua.concat(keeping, lua.concat("0000", lua.index(redis.ARGV, 2)))))))
if (lua.yes(lua.eq(keeping, "2"))) {
keep = (lua.num(keep) + lua.num(RETAIN_MS))
}
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([record, keep])])[0]
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "*")
return 1
},
}
export default twin
