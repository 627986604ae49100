// Generated from ratelimit/refund.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/refund',
sha1: 'aed2fdca1954e92caecd44d697ed8e3eea43adf0',
run(redis) {
let plan: lua.Value = lua.index(redis.ARGV, 1)
let receipt: lua.Value = lua.index(redis.ARGV, 2)
let mark: lua.Value = lua.index(redis.ARGV, 4)
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
if (lua.yes(lua.lt(now, written))) {
now = written
}
let age: lua.Value = (lua.num(now) - lua.num(written))
let [_$2, decided]: lua.Value[] = [...lua.unpackStruct(">I4d", receipt)]
let given: lua.Value = 0
let record: lua.Value = lua.sub(saved, 1, 12)
let lists: lua.Value = ""
if (lua.yes(lua.eq(lua.sub(saved, (lua.num(list) + 8), (lua.num(list) + 15)), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"))) {
lists = lua.sub(saved, list, (lua.num(list) + 15))
list = (lua.num(list) + 16)
}
while (lua.yes(lua.lt(place, lua.len(plan)))) {
let kind: lua.Value = lua.byte(plan, place)
let width: lua.Value = undefined
let unit: lua.Value = undefined
let cost: lua.Value = undefined
{
const all: lua.Value[] = [...lua.unpackStruct(">I6I3I5", plan, (lua.num(place) + 6))]
width = all[0]
unit = all[1]
cost = all[2]
place = all[3]
}
if (lua.yes(lua.gt(mode, 1))) {
record = lua.concat(record, lua.sub(saved, at, (lua.num(at) + 7)))
at = (lua.num(at) + 8)
}
let back: lua.Value = 0
if (lua.yes(lua.eq(kind, 1))) {
let [debt, interval]: lua.Value[] = [...lua.unpackStruct(">dd", saved, at)]
let [owed, each]: lua.Value[] = [...lua.unpackStruct(">dd", receipt, at)]
back = lua.max(0, lua.min((lua.num(cost) * lua.num(each)), (lua.num((lua.num(decided) + lua.num(owed))) - lua.num(now))))
if (lua.yes(!lua.eq(each, interval))) {
back = (lua.num(lua.floor((lua.num(back) / lua.num(each)))) * lua.num(interval))
}
back = lua.max(0, lua.min(back, (lua.num(debt) - lua.num(age))))
record = lua.concat(record, lua.pack(">dd", (lua.num(debt) - lua.num(back)), interval))
at = (lua.num(at) + 16)
} else if (lua.yes(lua.lt(kind, 4))) {
let form: lua.Value = lua.or(lua.and(lua.eq(kind, 2), () => ">I4I4"), () => ">dd")
let size: lua.Value = lua.or(lua.and(lua.eq(kind, 2), () => 8), () => 16)
let [previous, current]: lua.Value[] = [...lua.unpackStruct(form, saved, at)]
let start: lua.Value = (lua.num(written) - lua.num(lua.mod(lua.num(written), lua.num(width))))
let counts: lua.Value = lua.ge(decided, (lua.num((lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(width))))) - lua.num(width)))
if ((lua.yes(counts) && lua.yes(lua.ge(decided, start)))) {
back = lua.min(cost, current)
current = (lua.num(current) - lua.num(back))
} else if ((lua.yes(counts) && lua.yes(lua.ge(decided, (lua.num(start) - lua.num(width)))))) {
back = lua.min(cost, previous)
previous = (lua.num(previous) - lua.num(back))
}
record = lua.concat(record, lua.pack(form, previous, current))
at = (lua.num(at) + lua.num(size))
} else if (lua.yes(lua.lt(kind, 8))) {
let count: lua.Value = lua.unpackStruct(">d", saved, at)[0]
let start$2: lua.Value = (lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(width))))
if (lua.yes(lua.eq(kind, 4))) {
let left: lua.Value = lua.unpackStruct(">d", saved, (lua.num(at) + 8))[0]
if ((lua.yes(lua.gt(left, age)) && lua.yes(lua.ge(decided, (lua.num((lua.num(written) + lua.num(left))) - lua.num(width)))))) {
back = lua.min(cost, count)
}
if (lua.yes(lua.eq(back, count))) {
left = 0
}
record = lua.concat(record, lua.pack(">dd", (lua.num(count) - lua.num(back)), left))
at = (lua.num(at) + 16)
} else {
if (lua.yes(lua.eq(kind, 7))) {
let owed$2: lua.Value = lua.unpackStruct(">d", receipt, at)[0]
owed$2 = (lua.num(owed$2) - lua.num((lua.num((lua.num((lua.num(start$2) - lua.num((lua.num(decided) - lua.num(lua.mod(lua.num(decided), lua.num(width))))))) / lua.num(width))) * lua.num(unit))))
let missing: lua.Value = (lua.num(count) - lua.num((lua.num((lua.num((lua.num(start$2) - lua.num((lua.num(written) - lua.num(lua.mod(lua.num(written), lua.num(width))))))) / lua.num(width))) * lua.num(unit))))
back = lua.max(0, lua.min(cost, owed$2, missing))
} else {
if (lua.yes(lua.eq(kind, 6))) {
let ending: lua.Value = undefined
{
const all: lua.Value[] = [...lua.unpackStruct(">I6I6", plan, place)]
ending = all[0]
_$2 = all[1]
place = all[2]
}
start$2 = (1000 * lua.num(lua.or(lua.and(lua.lt(now, (lua.num(ending) * 1000)), () => width), () => ending)))
}
if ((lua.yes(lua.ge(decided, start$2)) && lua.yes(lua.ge(written, start$2)))) {
back = lua.min(cost, count)
}
}
record = lua.concat(record, lua.pack(">d", (lua.num(count) - lua.num(back))))
at = (lua.num(at) + 8)
}
} else {
let [count$2, total]: lua.Value[] = [...lua.unpackStruct(">I4I4", saved, at)]
at = (lua.num(at) + 8)
let part: lua.Value = lua.or(lua.and(lua.gt(unit, 0), () => lua.ceil((lua.num(width) / lua.num(unit)))), () => 1)
let over: lua.Value = (lua.num((lua.num((lua.num((lua.num(decided) - lua.num(lua.mod(lua.num(decided), lua.num(part))))) + lua.num(part))) - 1)) + lua.num(width))
let kept: lua.Value = lua.table([])
for (let entry of lua.steps(list, (lua.num((lua.num(list) + lua.num((16 * lua.num(count$2))))) - 1), 16)) {
let text: lua.Value = lua.sub(saved, entry, (lua.num(entry) + 15))
let [ending$2, size$2]: lua.Value[] = [...lua.unpackStruct(lua.or(lua.and(lua.eq(kind, 8), () => ">dd"), () => ">dH"), text)]
let isIt: lua.Value = lua.and(lua.and(lua.and(lua.gt(cost, 0), () => lua.eq(back, 0)), () => lua.gt(ending$2, now)), () => lua.or(lua.and(lua.eq(kind, 8), () => lua.eq(ending$2, over)), () => lua.and(lua.eq(kind, 9), () => lua.eq(lua.sub(text, 11), lua.index(redis.ARGV, 3)))))
if (lua.yes(isIt)) {
back = lua.min(cost, size$2)
total = (lua.num(total) - lua.num(back))
if (lua.yes(lua.lt(back, size$2))) {
text = lua.or(lua.and(lua.eq(kind, 8), () => lua.pack(">dd", ending$2, (lua.num(size$2) - lua.num(back)))), () => lua.concat(lua.pack(">dH", ending$2, (lua.num(size$2) - lua.num(back))), lua.index(redis.ARGV, 3)))
}
}
if ((lua.yes(isIt) && lua.yes(lua.eq(back, size$2)))) {
count$2 = (lua.num(count$2) - 1)
} else {
lua.set(kept, (lua.num(lua.len(kept)) + 1), text)
}
}
let before: lua.Value = lua.unpackStruct(">I4", saved, (lua.num(at) - 8))[0]
list = (lua.num(list) + lua.num((16 * lua.num(before))))
{
const all: lua.Value[] = [lua.concat(record, lua.pack(">I4I4", count$2, total)), lua.concat(lists, lua.join(kept))]
record = all[0]
lists = all[1]
}
}
given = (lua.num(given) + lua.num(back))
}
let marks: lua.Value = lua.sub(saved, list)
let found: lua.Value = lua.find(marks, mark, 1, true)[0]
while ((lua.yes(found) && lua.yes(!lua.eq(lua.mod(lua.num(found), 16), 9)))) {
found = lua.find(marks, mark, (lua.num(found) + 1), true)[0]
}
if (lua.yes(found)) {
return 1
}
if (lua.yes(lua.eq(given, 0))) {
return 0
}
marks = lua.concat(lua.sub(marks, -15984), lua.concat(lua.pack(">d", (lua.num(now) + lua.num(lua.index(redis.ARGV, 5)))), mark))
redis.call("SET", lua.index(redis.KEYS, 1), lua.concat(record, lua.concat(lists, marks)), "PX", lua.max(1, redis.call("PTTL", lua.index(redis.KEYS, 1))))
return 1
},
}
export default twin
