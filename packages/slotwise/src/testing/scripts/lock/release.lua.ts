// Generated from lock/release.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/release',
sha1: '38a42e981b80e3309b92a59095ea95978d55b356',
run(redis) {
const put: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV, 2))
redis.call("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2))
}
return []
})
let CLAIM_MS: lua.Value = 1000
let RETAIN_MS: lua.Value = 60000
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (!lua.yes(saved)) {
return -1
}
let state: lua.Value = lua.sub(saved, 52, 52)
let keeping: lua.Value = lua.sub(saved, 53, 53)
let from: lua.Value = (58 + lua.num(lua.tonumber(lua.sub(saved, 54, 57))))
let line: lua.Value = lua.sub(saved, from)
if ((lua.yes(!lua.eq(lua.sub(saved, 1, 22), lua.index(redis.ARGV, 1))) || (lua.yes(!lua.eq(state, "h")) && lua.yes(!lua.eq(state, "c"))))) {
let found: lua.Value = undefined
if (lua.yes(!lua.eq(state, "d"))) {
found = lua.find(line, lua.index(redis.ARGV, 1), 1, true)[0]
}
if (lua.yes(found)) {
line = lua.concat(lua.sub(line, 1, (lua.num(found) - 1)), lua.sub(line, (lua.num(found) + 35)))
let time: lua.Value = redis.call("TIME")
let left: lua.Value = (lua.num((lua.num(lua.tonumber(lua.sub(saved, 23, 35))) - lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)))) - lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(lua.sub(saved, 1, (lua.num(from) - 1)), line), lua.max(1, left, redis.call("PTTL", lua.index(redis.KEYS, 1)))])])[0]
}
return -1
}
if ((lua.yes(lua.eq(state, "h")) && lua.yes(lua.eq(keeping, "0")))) {
redis.call("DEL", lua.index(redis.KEYS, 1))
return 1
}
let time$2: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time$2, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time$2, 2))) / 1000))))
let verdict: lua.Value = 0
if ((lua.yes(lua.eq(state, "h")) && lua.yes(lua.gt(lua.tonumber(lua.sub(saved, 23, 35)), now)))) {
verdict = 1
}
while ((lua.yes(!lua.eq(line, "")) && lua.yes(lua.le(lua.tonumber(lua.sub(line, 23, 35)), now)))) {
line = lua.sub(line, 36)
}
if (lua.yes(!lua.eq(line, ""))) {
let first: lua.Value = lua.sub(line, 1, 22)
line = lua.sub(line, 36)
let head: lua.Value = lua.concat(first, lua.concat(lua.format("%013.0f", (lua.num(now) + lua.num(CLAIM_MS))), lua.concat(lua.sub(saved, 36, 51), lua.concat("c", keeping))))
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(head, lua.concat("0000", line)), lua.max(CLAIM_MS, redis.call("PTTL", lua.index(redis.KEYS, 1)))])])[0]
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), lua.concat(first, lua.sub(line, 1, 22)))
} else if (lua.yes(lua.eq(keeping, "2"))) {
let left$2: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
if (lua.yes(lua.lt(left$2, 1))) {
left$2 = RETAIN_MS
}
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(lua.sub(saved, 1, 51), "-20000"), left$2])])[0]
} else {
redis.call("DEL", lua.index(redis.KEYS, 1))
}
return verdict
},
}
export default twin
