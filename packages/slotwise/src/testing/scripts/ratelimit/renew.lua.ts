// Generated from ratelimit/renew.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/renew',
sha1: 'f14227e0f274cc181d3c39c9a8efe751816561b3',
run(redis) {
let plan: lua.Value = lua.index(redis.ARGV, 1)
let lease: lua.Value = lua.index(redis.ARGV, 2)
let [mode, parts, layout, place]: lua.Value[] = [...lua.unpackStruct(">BBI4", plan)]
let at: lua.Value = 13
let list: lua.Value = (13 + lua.num((lua.num(parts) * 8)))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (((!lua.yes(saved) || lua.yes(lua.lt(lua.len(saved), (lua.num(list) - 1)))) || lua.yes(!lua.eq(lua.unpackStruct(">I4", saved)[0], layout)))) {
return 0
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
let [_, written]: lua.Value[] = [...lua.unpackStruct(">I4d", saved)]
let age: lua.Value = lua.max(0, (lua.num(now) - lua.num(written)))
if (lua.yes(lua.lt(now, written))) {
let ends: lua.Value = lua.table([])
for (let entry of lua.steps(list, lua.len(saved), 16)) {
lua.set(ends, (lua.num(lua.len(ends)) + 1), lua.concat(lua.pack(">d", (lua.num((lua.num(lua.unpackStruct(">d", saved, entry)[0]) + lua.num(now))) - lua.num(written))), lua.sub(saved, (lua.num(entry) + 8), (lua.num(entry) + 15))))
}
{
const all: lua.Value[] = [lua.concat(lua.sub(saved, 1, (lua.num(list) - 1)), lua.join(ends)), now]
saved = all[0]
written = all[1]
}
}
let ttl: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let renewed: lua.Value = 0
let isKnown: lua.Value = true
let record: lua.Value = ""
let lists: lua.Value = ""
if (lua.yes(lua.eq(lua.sub(saved, (lua.num(list) + 8), (lua.num(list) + 15)), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"))) {
lists = lua.sub(saved, list, (lua.num(list) + 15))
list = (lua.num(list) + 16)
}
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
let [_$2, current]: lua.Value[] = [...lua.unpackStruct(form, part)]
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
isKnown = lua.eq(age, 0)
}
if (lua.yes(lua.ge(now, ending))) {
start = ending
}
}
if (lua.yes(lua.lt(written, start))) {
part = lua.pack(">d", 0)
}
} else if (lua.yes(lua.eq(kind, 7))) {
let filled: lua.Value = (lua.num((lua.num((lua.num(start) - lua.num((lua.num(written) - lua.num(lua.mod(lua.num(written), lua.num(width))))))) / lua.num(width))) * lua.num(unit))
part = lua.pack(">d", lua.max(0, (lua.num(lua.unpackStruct(">d", part)[0]) - lua.num(filled))))
} else {
let count$2: lua.Value = lua.unpackStruct(">I4", part)[0]
let last$2: lua.Value = (lua.num(list) + lua.num((16 * lua.num(count$2))))
let renewal: lua.Value = ""
for (let entry$2 of lua.steps(list, (lua.num(last$2) - 1), 16)) {
let text: lua.Value = lua.sub(saved, entry$2, (lua.num(entry$2) + 15))
let ends$2: lua.Value = lua.or(lua.and(lua.and(lua.and(lua.eq(kind, 9), () => lua.eq(renewal, "")), () => lua.eq(lua.sub(text, 11), lease)), () => lua.unpackStruct(">d", text)[0]), () => 0)
if (lua.yes(lua.gt(ends$2, now))) {
renewal = lua.concat(lua.pack(">d", (lua.num(now) + lua.num(width))), lua.sub(text, 9))
{
const all: lua.Value[] = [lua.max(ttl, lua.ceil((lua.num(width) / 1000))), 1]
ttl = all[0]
renewed = all[1]
}
} else {
lists = lua.concat(lists, text)
}
}
{
const all: lua.Value[] = [last$2, lua.concat(lists, renewal)]
list = all[0]
lists = all[1]
}
}
record = lua.concat(record, part)
}
if (lua.yes(lua.eq(renewed, 0))) {
return 0
}
let head: lua.Value = lua.concat(lua.sub(saved, 1, 4), lua.concat(lua.pack(">d", now), record))
if (!lua.yes(isKnown)) {
head = lua.sub(saved, 1, (12 + lua.num((lua.num(parts) * 8))))
}
redis.call("SET", lua.index(redis.KEYS, 1), lua.concat(head, lua.concat(lists, lua.sub(saved, list))), "PX", lua.max(1, ttl))
return 1
},
}
export default twin
