// Generated from ratelimit/renew.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/renew',
sha1: '0d8aee6b91b658b81d7be12cce58674073bd8518',
run(redis) {
let plan: lua.Value = lua.index(redis.ARGV, 1)
let lease: lua.Value = lua.index(redis.ARGV, 2)
let [_, parts, layout, place]: lua.Value[] = [...lua.unpackStruct(">BBI4", plan)]
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (((!lua.yes(saved) || lua.yes(lua.lt(lua.len(saved), (12 + lua.num((lua.num(parts) * 8)))))) || lua.yes(!lua.eq(lua.unpackStruct(">I4", saved)[0], layout)))) {
return 0
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
let [_$2, written]: lua.Value[] = [...lua.unpackStruct(">I4d", saved)]
let from: lua.Value = lua.max(now, written)
let ttl: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let renewed: lua.Value = 0
let shares: lua.Value = lua.gt(lua.byte(plan), 1)
let at: lua.Value = 13
let list: lua.Value = (13 + lua.num((lua.num(parts) * 8)))
if (lua.yes(lua.eq(lua.sub(saved, (lua.num(list) + 8), (lua.num(list) + 15)), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"))) {
list = (lua.num(list) + 16)
}
while (lua.yes(lua.lt(place, lua.len(plan)))) {
let kind: lua.Value = lua.byte(plan, place)
let width: lua.Value = lua.unpackStruct(">I6", plan, (lua.num(place) + 6))[0]
place = (lua.num(place) + lua.num(lua.or(lua.and(lua.eq(kind, 6), () => 32), () => 20)))
if (lua.yes(shares)) {
at = (lua.num(at) + 8)
}
if (lua.yes(lua.gt(kind, 7))) {
let count: lua.Value = lua.unpackStruct(">I4", saved, at)[0]
let last: lua.Value = (lua.num(list) + lua.num((16 * lua.num(count))))
for (let entry of lua.steps(list, lua.or(lua.and(lua.eq(kind, 9), () => (lua.num(last) - 1)), () => 0), 16)) {
let ending: lua.Value = lua.unpackStruct(">d", saved, entry)[0]
if ((lua.yes(lua.eq(lua.sub(saved, (lua.num(entry) + 10), (lua.num(entry) + 15)), lease)) && lua.yes(lua.gt(ending, now)))) {
let mended: lua.Value = lua.concat(lua.pack(">d", (lua.num(from) + lua.num(width))), lua.sub(saved, (lua.num(entry) + 8), (lua.num(entry) + 15)))
saved = lua.concat(lua.sub(saved, 1, (lua.num(entry) - 1)), lua.concat(lua.sub(saved, (lua.num(entry) + 16), (lua.num(last) - 1)), lua.concat(mended, lua.sub(saved, last))))
{
const all: lua.Value[] = [lua.max(ttl, lua.ceil((lua.num(width) / 1000))), 1]
ttl = all[0]
renewed = all[1]
}
break
}
}
list = last
}
at = (lua.num(at) + lua.num(lua.or(lua.and(lua.or(lua.or(lua.eq(kind, 1), () => lua.eq(kind, 3)), () => lua.eq(kind, 4)), () => 16), () => 8)))
}
if (lua.yes(lua.eq(renewed, 1))) {
redis.call("SET", lua.index(redis.KEYS, 1), saved, "PX", lua.max(1, ttl))
}
return renewed
},
}
export default twin
