// Generated from ratelimit/block.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/block',
sha1: '63aa482c55456ffa547f0ab1e79a7ef27d3c72ad',
run(redis) {
const pass: lua.Value = lua.fn((_: lua.Value, ARGV: lua.Value) => {
let saved: lua.Value = lua.index(ARGV, 1)
let plan: lua.Value = lua.index(ARGV, 2)
let now: lua.Value = lua.index(ARGV, 3)
let [mode, parts, _$2, place]: lua.Value[] = [...lua.unpackStruct(">BBI4", plan)]
let at: lua.Value = 13
let list: lua.Value = (13 + lua.num((lua.num(parts) * 8)))
let isKnown: lua.Value = true
let [_$3, written]: lua.Value[] = [...lua.unpackStruct(">I4d", saved)]
let age: lua.Value = lua.max(0, (lua.num(now) - lua.num(written)))
let entries: lua.Value = lua.sub(saved, list)
if (lua.yes(lua.lt(now, written))) {
let ends: lua.Value = lua.table([])
for (let entry of lua.steps(list, lua.len(saved), 16)) {
lua.set(ends, (lua.num(lua.len(ends)) + 1), lua.concat(lua.pack(">d", (lua.num((lua.num(lua.unpackStruct(">d", saved, entry)[0]) + lua.num(now))) - lua.num(written))), lua.sub(saved, (lua.num(entry) + 8), (lua.num(entry) + 15))))
}
{
const all: lua.Value[] = [lua.join(ends), now]
entries = all[0]
written = all[1]
}
}
let record: lua.Value = lua.concat(lua.sub(saved, 1, 4), lua.pack(">d", now))
while (lua.yes(lua.lt(place, lua.len(plan)))) {
let kind: lua.Value = lua.byte(plan, place)
let [width, unit]: lua.Value[] = [...lua.unpackStruct(">I6I3", plan, (lua.num(place) + 6))]
place = (lua.num(place) + 20)
if (lua.yes(lua.gt(mode, 1))) {
record = lua.concat(record, lua.sub(saved, at, (lua.num(at) + 7)))
at = (lua.num(at) + 8)
}
let size: lua.Value = lua.or(lua.and(lua.or(lua.or(lua.eq(kind, 1), () => lua.eq(kind, 3)), () => lua.eq(kind, 4)), () => 16), () => 8)
let part: lua.Value = lua.sub(saved, at, (lua.num((lua.num(at) + lua.num(size))) - 1))
let start: lua.Value = (lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(width))))
at = (lua.num(at) + lua.num(size))
if (lua.yes(lua.eq(kind, 1))) {
let [debt, interval]: lua.Value[] = [...lua.unpackStruct(">dd", part)]
part = lua.pack(">dd", lua.max(0, (lua.num(debt) - lua.num(age))), interval)
} else if (lua.yes(lua.lt(kind, 4))) {
let form: lua.Value = lua.or(lua.and(lua.eq(kind, 2), () => ">I4I4"), () => ">dd")
let [_$4, current]: lua.Value[] = [...lua.unpackStruct(form, part)]
if (lua.yes(lua.lt(written, start))) {
part = lua.pack(form, lua.or(lua.and(lua.ge(written, (lua.num(start) - lua.num(width))), () => current), () => 0), 0)
}
} else if (lua.yes(lua.eq(kind, 4))) {
let [count, left]: lua.Value[] = [...lua.unpackStruct(">dd", part)]
part = lua.or(lua.and(lua.gt(left, age), () => lua.pack(">dd", count, (lua.num(left) - lua.num(age)))), () => lua.pack(">dd", 0, 0))
} else if (lua.yes(lua.lt(kind, 7))) {
if (lua.yes(lua.eq(kind, 6))) {
let ending: lua.Value = undefined
let last: lua.Value = undefined
{
const all: lua.Value[] = [...lua.unpackStruct(">I6I6", plan, place)]
ending = all[0]
last = all[1]
place = all[2]
}
{
const all: lua.Value[] = [(lua.num(width) * 1000), (lua.num(ending) * 1000), (lua.num(last) * 1000)]
start = all[0]
ending = all[1]
last = all[2]
}
if ((lua.yes(lua.lt(now, start)) || lua.yes(lua.ge(now, last)))) {
{
const all: lua.Value[] = [0, lua.eq(age, 0)]
start = all[0]
isKnown = all[1]
}
} else if (lua.yes(lua.ge(now, ending))) {
start = ending
}
}
if (lua.yes(lua.lt(written, start))) {
part = lua.pack(">d", 0)
}
} else if (lua.yes(lua.eq(kind, 7))) {
let filled: lua.Value = (lua.num((lua.num((lua.num(start) - lua.num((lua.num(written) - lua.num(lua.mod(lua.num(written), lua.num(width))))))) / lua.num(width))) * lua.num(unit))
part = lua.pack(">d", lua.max(0, (lua.num(lua.unpackStruct(">d", part)[0]) - lua.num(filled))))
}
record = lua.concat(record, part)
}
if (!lua.yes(isKnown)) {
record = lua.sub(saved, 1, (lua.num(list) - 1))
}
return [record, entries]
})
let empty: lua.Value = lua.index(redis.ARGV, 1)
let ms: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now$2: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
let saved$2: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
let ttl: lua.Value = 0
let record$2: lua.Value = lua.concat(lua.sub(empty, 1, 4), lua.concat(lua.pack(">d", now$2), lua.sub(empty, 13)))
let rest: lua.Value = ""
if (((lua.yes(saved$2) && lua.yes(lua.ge(lua.len(saved$2), lua.len(empty)))) && lua.yes(lua.eq(lua.sub(saved$2, 1, 4), lua.sub(empty, 1, 4))))) {
ttl = redis.call("PTTL", lua.index(redis.KEYS, 1))
{
const all: lua.Value[] = [...lua.invoke(pass, [lua.table([]), lua.table([saved$2, lua.index(redis.ARGV, 3), now$2])])]
record$2 = all[0]
rest = all[1]
}
} else if (lua.yes(lua.eq(ms, 0))) {
return 1
}
let isBlocked: lua.Value = lua.eq(lua.sub(rest, 9, 16), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000")
if (lua.yes(isBlocked)) {
rest = lua.sub(rest, 17)
}
if ((lua.yes(lua.eq(ms, 0)) && !lua.yes(isBlocked))) {
return 1
}
let block: lua.Value = lua.or(lua.and(lua.gt(ms, 0), () => lua.concat(lua.pack(">d", (lua.num(now$2) + lua.num((lua.num(ms) * 1000)))), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000")), () => "")
redis.call("SET", lua.index(redis.KEYS, 1), lua.concat(record$2, lua.concat(block, rest)), "PX", lua.max(1, ttl, ms))
return 1
},
}
export default twin
