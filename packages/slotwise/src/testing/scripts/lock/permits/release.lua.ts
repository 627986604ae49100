// Generated from lock/permits/release.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/permits/release',
sha1: 'e0c5a9b918c0d3d028adf495493a1fb5b90e571b',
run(redis) {
const turns: lua.Value = lua.fn((_: lua.Value, ARGV: lua.Value) => {
let CLAIM_MS: lua.Value = 1000
let holders: lua.Value = lua.index(ARGV, 1)
let line: lua.Value = lua.index(ARGV, 2)
let permits: lua.Value = lua.index(ARGV, 3)
let now: lua.Value = lua.index(ARGV, 4)
let held: lua.Value = ""
let used: lua.Value = 0
let soonest: lua.Value = 0
let latest: lua.Value = now
let told: lua.Value = ""
let from: lua.Value = 1
for (let at of lua.steps(1, lua.len(holders), 55)) {
let ends: lua.Value = lua.tonumber(lua.sub(holders, (lua.num(at) + 22), (lua.num(at) + 34)))
if (lua.yes(lua.gt(ends, now))) {
used = (lua.num(used) + lua.num(lua.tonumber(lua.sub(holders, (lua.num(at) + 51), (lua.num(at) + 54)))))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt(ends, soonest)))) {
soonest = ends
}
latest = lua.max(latest, ends)
} else {
held = lua.concat(held, lua.sub(holders, from, (lua.num(at) - 1)))
from = (lua.num(at) + 55)
}
}
held = lua.concat(held, lua.sub(holders, from))
while (lua.yes(!lua.eq(line, ""))) {
let wanted: lua.Value = lua.sub(line, 36, 39)
if (lua.yes(lua.gt(lua.tonumber(lua.sub(line, 23, 35)), now))) {
if ((lua.yes(lua.gt(used, 0)) && lua.yes(lua.gt((lua.num(used) + lua.num(lua.tonumber(wanted))), permits)))) {
break
}
let first: lua.Value = lua.sub(line, 1, 22)
let claim: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now) + lua.num(CLAIM_MS)))), -13)
held = lua.concat(held, lua.concat(first, lua.concat(claim, lua.concat("0000000000000000", wanted))))
used = (lua.num(used) + lua.num(lua.tonumber(wanted)))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt((lua.num(now) + lua.num(CLAIM_MS)), soonest)))) {
soonest = (lua.num(now) + lua.num(CLAIM_MS))
}
latest = lua.max(latest, (lua.num(now) + lua.num(CLAIM_MS)))
told = lua.concat(told, first)
}
line = lua.sub(line, 40)
}
return [held, line, used, soonest, latest, told]
})
const keep: lua.Value = lua.fn((KEYS: lua.Value, ARGV$2: lua.Value) => {
let line$2: lua.Value = lua.index(ARGV$2, 2)
let told$2: lua.Value = lua.index(ARGV$2, 5)
redis.call("HSET", lua.index(KEYS, 1), "o", lua.index(ARGV$2, 1), "q", line$2, "p", lua.index(ARGV$2, 3))
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV$2, 4))
for (let at$2 of lua.steps(1, lua.len(told$2), 22)) {
redis.pcall("SPUBLISH", lua.index(KEYS, 1), lua.concat(lua.sub(told$2, at$2, (lua.num(at$2) + 21)), lua.sub(line$2, 1, 22)))
}
return []
})
let time: lua.Value = redis.call("TIME")
let now$2: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "q", "p", "h")
let holders$2: lua.Value = lua.or(lua.index(saved, 1), () => "")
let line$3: lua.Value = lua.or(lua.index(saved, 2), () => "")
let permits$2: lua.Value = lua.or(lua.tonumber(lua.index(saved, 3)), () => 0)
let verdict: lua.Value = -1
let mine: lua.Value = lua.find(holders$2, lua.index(redis.ARGV, 1), 1, true)[0]
if (lua.yes(mine)) {
verdict = 0
let token: lua.Value = lua.sub(holders$2, (lua.num(mine) + 35), (lua.num(mine) + 50))
if ((lua.yes(!lua.eq(token, "0000000000000000")) && lua.yes(lua.gt(lua.tonumber(lua.sub(holders$2, (lua.num(mine) + 22), (lua.num(mine) + 34))), now$2)))) {
verdict = 1
}
holders$2 = lua.concat(lua.sub(holders$2, 1, (lua.num(mine) - 1)), lua.sub(holders$2, (lua.num(mine) + 55)))
} else {
let place: lua.Value = lua.find(line$3, lua.index(redis.ARGV, 1), 1, true)[0]
if (!lua.yes(place)) {
return -1
}
line$3 = lua.concat(lua.sub(line$3, 1, (lua.num(place) - 1)), lua.sub(line$3, (lua.num(place) + 39)))
}
let [held$2, waiting, _$2, _$3, latest$2, told$3]: lua.Value[] = [...lua.invoke(turns, [lua.table([]), lua.table([holders$2, line$3, permits$2, now$2])])]
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.or(lua.and(mine, () => "b"), () => "w"))
if ((lua.yes(!lua.eq(held$2, "")) || lua.yes(!lua.eq(waiting, "")))) {
lua.invoke(keep, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([held$2, waiting, permits$2, lua.max((lua.num(latest$2) - lua.num(now$2)), redis.call("PTTL", lua.index(redis.KEYS, 1))), told$3])])[0]
} else if (lua.yes(lua.index(saved, 4))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "o", "q", "p")
} else {
redis.call("DEL", lua.index(redis.KEYS, 1))
}
return verdict
},
}
export default twin
