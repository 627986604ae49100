// Generated from ratelimit/together.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/together',
sha1: '42d2e8b60c94789cecdba705108e9252f319f42c',
run(redis) {
const decide: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
let plan: lua.Value = lua.index(ARGV, 1)
let [_, id, keep, ahead]: lua.Value[] = [...lua.unpack(ARGV)]
let joint: lua.Value = lua.index(ARGV, "joint")
let [mode, parts, layout, first]: lua.Value[] = [...lua.unpackStruct(">BBI4", plan)]
let force: lua.Value = lua.eq(lua.mod(lua.num(mode), 2), 1)
let shares: lua.Value = lua.gt(lua.mod(lua.num(mode), 4), 1)
let entries: lua.Value = (13 + lua.num((lua.num(parts) * 8)))
let spares: lua.Value = lua.and(lua.gt(mode, 7), () => ahead)
{
const all: lua.Value[] = [lua.tonumber(keep), lua.or(lua.and(lua.gt(lua.mod(lua.num(mode), 8), 3), () => lua.tonumber(ahead)), () => 0)]
keep = all[0]
ahead = all[1]
}
let time: lua.Value = lua.or(lua.and(joint, () => lua.index(joint, "time")), () => redis.call("TIME"))
let now: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
let saved: lua.Value = redis.call("GET", lua.index(KEYS, 1))
let known: lua.Value = false
let mended: lua.Value = false
let written: lua.Value = now
let age: lua.Value = 0
if ((lua.yes(saved) && lua.yes(lua.ge(lua.len(saved), (lua.num(entries) - 1))))) {
let [was, moment]: lua.Value[] = [...lua.unpackStruct(">I4d", saved)]
if (lua.yes(lua.eq(was, layout))) {
{
const all: lua.Value[] = [true, moment, (lua.num(now) - lua.num(moment))]
known = all[0]
written = all[1]
age = all[2]
}
if (lua.yes(lua.lt(age, 0))) {
let ends: lua.Value = lua.table([])
for (let entry of lua.steps(entries, lua.len(saved), 16)) {
lua.set(ends, (lua.num(lua.len(ends)) + 1), lua.concat(lua.pack(">d", (lua.num(lua.unpackStruct(">d", saved, entry)[0]) + lua.num(age))), lua.sub(saved, (lua.num(entry) + 8), (lua.num(entry) + 15))))
}
saved = lua.concat(lua.sub(saved, 1, (lua.num(entries) - 1)), lua.join(ends))
{
const all: lua.Value[] = [true, now, 0]
mended = all[0]
written = all[1]
age = all[2]
}
}
}
}
let block: lua.Value = now
if ((lua.yes(known) && lua.yes(lua.eq(lua.sub(saved, (lua.num(entries) + 8), (lua.num(entries) + 15)), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000")))) {
block = lua.unpackStruct(">d", saved, entries)[0]
entries = (lua.num(entries) + 16)
}
let blocked: lua.Value = lua.and(lua.gt(block, now), () => !lua.yes(force))
let verdict: lua.Value = lua.or(lua.and(lua.or(blocked, () => lua.and(joint, () => lua.index(joint, "refused"))), () => "0"), () => "1")
let charge: lua.Value = 1
let taken: lua.Value = lua.or(lua.and(joint, () => lua.index(joint, "takes")), () => 0)
let reply: lua.Value = undefined
let record: lua.Value = undefined
let lists: lua.Value = undefined
let list: lua.Value = undefined
let full: lua.Value = undefined
for (;;) {
let place: lua.Value = first
let at: lua.Value = 13
let turns: lua.Value = ""
let spare: lua.Value = 0
{
const all: lua.Value[] = [lua.pack(">I4d", layout, now), "", entries, now]
record = all[0]
lists = all[1]
list = all[2]
full = all[3]
}
while (lua.yes(lua.lt(place, lua.len(plan)))) {
let kind: lua.Value = undefined
let limit: lua.Value = undefined
let width: lua.Value = undefined
let unit: lua.Value = undefined
let cost: lua.Value = undefined
{
const all: lua.Value[] = [...lua.unpackStruct(">BI5I6I3I5", plan, place)]
kind = all[0]
limit = all[1]
width = all[2]
unit = all[3]
cost = all[4]
place = all[5]
}
{
const all: lua.Value[] = [(lua.num(taken) + lua.num(cost)), (lua.num(cost) * lua.num(charge))]
taken = all[0]
cost = all[1]
}
if (lua.yes(spares)) {
let left: lua.Value = lua.unpackStruct(">I5", spares, (lua.num((lua.num(spare) * 5)) + 1))[0]
spare = (lua.num(spare) + 1)
if (lua.yes(lua.gt(cost, 0))) {
cost = (lua.num(cost) + lua.num(left))
}
}
let before: lua.Value = limit
if (lua.yes(shares)) {
if (lua.yes(known)) {
before = lua.unpackStruct(">d", saved, at)[0]
}
if (lua.yes(!lua.eq(before, limit))) {
mended = true
}
at = (lua.num(at) + 8)
record = lua.concat(record, lua.pack(">d", limit))
}
if (lua.yes(lua.eq(kind, 1))) {
let debt: lua.Value = 0
let depth: lua.Value = (lua.num(limit) * lua.num(width))
if (lua.yes(known)) {
let interval: lua.Value = undefined
{
const all: lua.Value[] = [...lua.unpackStruct(">dd", saved, at)]
debt = all[0]
interval = all[1]
}
debt = (lua.num(debt) - lua.num(age))
if (lua.yes(lua.lt(debt, 0))) {
debt = 0
}
if ((lua.yes(!lua.eq(interval, width)) || lua.yes(!lua.eq(before, limit)))) {
debt = (lua.num(lua.ceil((lua.num((lua.num(lua.ceil((lua.num(debt) / lua.num(interval)))) * lua.num(limit))) / lua.num(before)))) * lua.num(width))
mended = true
}
let most: lua.Value = (lua.num(depth) + lua.num((lua.num(unit) * 1000)))
if (lua.yes(lua.gt(debt, most))) {
{
const all: lua.Value[] = [most, true]
debt = all[0]
mended = all[1]
}
}
}
at = (lua.num(at) + 16)
let owed: lua.Value = debt
{
const all: lua.Value[] = [(lua.num(debt) + lua.num((lua.num(cost) * lua.num(width)))), (lua.num(depth) + lua.num(ahead))]
debt = all[0]
depth = all[1]
}
if (lua.yes(lua.gt(debt, depth))) {
if (lua.yes(force)) {
debt = lua.max(depth, owed)
} else if (lua.yes(lua.gt(cost, 0))) {
verdict = "0"
}
}
if (lua.yes(lua.gt((lua.num(now) + lua.num(debt)), full))) {
full = (lua.num(now) + lua.num(debt))
}
record = lua.concat(record, lua.pack(">dd", debt, width))
} else if (lua.yes(lua.lt(kind, 4))) {
let start: lua.Value = (lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(width))))
let previous: lua.Value = 0
let current: lua.Value = 0
let form: lua.Value = lua.or(lua.and(lua.eq(kind, 2), () => ">I4I4"), () => ">dd")
if ((lua.yes(known) && lua.yes(lua.ge(written, (lua.num(start) - lua.num(width)))))) {
{
const all: lua.Value[] = [...lua.unpackStruct(form, saved, at)]
previous = all[0]
current = all[1]
}
if (lua.yes(lua.lt(written, start))) {
{
const all: lua.Value[] = [current, 0]
previous = all[0]
current = all[1]
}
}
if (lua.yes(!lua.eq(before, limit))) {
{
const all: lua.Value[] = [lua.ceil((lua.num((lua.num(previous) * lua.num(limit))) / lua.num(before))), lua.ceil((lua.num((lua.num(current) * lua.num(limit))) / lua.num(before)))]
previous = all[0]
current = all[1]
}
}
if (lua.yes(lua.gt(previous, limit))) {
{
const all: lua.Value[] = [limit, true]
previous = all[0]
mended = all[1]
}
}
if (lua.yes(lua.gt(current, limit))) {
{
const all: lua.Value[] = [limit, true]
current = all[0]
mended = all[1]
}
}
}
at = (lua.num(at) + lua.num(lua.or(lua.and(lua.eq(kind, 2), () => 8), () => 16)))
let units: lua.Value = (lua.num(width) / lua.num(unit))
let passed: lua.Value = (lua.num(now) - lua.num(start))
if ((lua.yes(lua.gt(cost, 0)) && lua.yes(lua.gt((lua.num(previous) * lua.num((lua.num(units) - lua.num((lua.num((lua.num(passed) - lua.num(lua.mod(lua.num(passed), lua.num(unit))))) / lua.num(unit)))))), (lua.num((lua.num((lua.num(limit) - lua.num(current))) - lua.num(cost))) * lua.num(units)))))) {
if (lua.yes(force)) {
cost = lua.min(cost, (lua.num(limit) - lua.num(current)))
} else {
verdict = "0"
}
}
current = (lua.num(current) + lua.num(cost))
let over: lua.Value = lua.or(lua.or(lua.and(lua.gt(current, 0), () => (lua.num(start) + lua.num((2 * lua.num(width))))), () => lua.and(lua.gt(previous, 0), () => (lua.num(start) + lua.num(width)))), () => now)
if (lua.yes(lua.gt(over, full))) {
full = over
}
record = lua.concat(record, lua.pack(form, previous, current))
} else if (lua.yes(lua.lt(kind, 8))) {
let count: lua.Value = 0
let left$2: lua.Value = 0
if (lua.yes(known)) {
count = lua.unpackStruct(">d", saved, at)[0]
}
at = (lua.num(at) + 8)
let start$2: lua.Value = (lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(width))))
let over$2: lua.Value = 0
if (lua.yes(lua.eq(kind, 4))) {
if (lua.yes(known)) {
left$2 = (lua.num(lua.unpackStruct(">d", saved, at)[0]) - lua.num(age))
}
at = (lua.num(at) + 8)
if (lua.yes(lua.le(left$2, 0))) {
{
const all: lua.Value[] = [0, lua.or(lua.and(lua.gt(cost, 0), () => width), () => 0)]
count = all[0]
left$2 = all[1]
}
}
over$2 = (lua.num(now) + lua.num(left$2))
} else if (lua.yes(lua.eq(kind, 7))) {
count = (lua.num(count) - lua.num((lua.num((lua.num((lua.num(start$2) - lua.num((lua.num(written) - lua.num(lua.mod(lua.num(written), lua.num(width))))))) / lua.num(width))) * lua.num(unit))))
if (lua.yes(lua.lt(count, 0))) {
count = 0
}
} else {
over$2 = (lua.num(start$2) + lua.num(width))
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
start$2 = all[0]
ending = all[1]
last = all[2]
}
if ((lua.yes(lua.lt(now, start$2)) || lua.yes(lua.ge(now, last)))) {
return [lua.concat("4", lua.pack(">I4d", layout, now))]
}
over$2 = ending
if (lua.yes(lua.ge(now, ending))) {
{
const all: lua.Value[] = [ending, last]
start$2 = all[0]
over$2 = all[1]
}
}
}
if (lua.yes(lua.lt(written, start$2))) {
count = 0
}
}
if (lua.yes(!lua.eq(before, limit))) {
count = lua.ceil((lua.num((lua.num(count) * lua.num(limit))) / lua.num(before)))
}
if (lua.yes(lua.gt(count, limit))) {
{
const all: lua.Value[] = [limit, true]
count = all[0]
mended = all[1]
}
}
if (lua.yes(lua.gt((lua.num(count) + lua.num(cost)), limit))) {
if (lua.yes(force)) {
cost = (lua.num(limit) - lua.num(count))
} else if (lua.yes(lua.gt(cost, 0))) {
verdict = "0"
}
}
count = (lua.num(count) + lua.num(cost))
if (lua.yes(lua.eq(kind, 7))) {
over$2 = (lua.num(start$2) + lua.num((lua.num(lua.ceil((lua.num(count) / lua.num(unit)))) * lua.num(width))))
}
if ((lua.yes(lua.gt(count, 0)) && lua.yes(lua.gt(over$2, full)))) {
full = over$2
}
record = lua.concat(record, lua.or(lua.and(lua.eq(kind, 4), () => lua.pack(">dd", count, left$2)), () => lua.pack(">d", count)))
} else {
let count$2: lua.Value = 0
let total: lua.Value = 0
let tail: lua.Value = ""
let form$2: lua.Value = lua.or(lua.and(lua.eq(kind, 8), () => ">dd"), () => ">dH")
if (lua.yes(known)) {
{
const all: lua.Value[] = [...lua.unpackStruct(">I4I4", saved, at)]
count$2 = all[0]
total = all[1]
}
let entry$2: lua.Value = list
list = (lua.num(list) + lua.num((16 * lua.num(count$2))))
if (lua.yes(lua.eq(kind, 8))) {
while (lua.yes(lua.lt(entry$2, list))) {
let [ending$2, size]: lua.Value[] = [...lua.unpackStruct(form$2, saved, entry$2)]
if (lua.yes(lua.gt(ending$2, now))) {
break
}
{
const all: lua.Value[] = [(lua.num(count$2) - 1), (lua.num(total) - lua.num(size)), (lua.num(entry$2) + 16)]
count$2 = all[0]
total = all[1]
entry$2 = all[2]
}
}
tail = lua.sub(saved, entry$2, (lua.num(list) - 1))
} else {
let live: lua.Value = lua.table([])
for (let one of lua.steps(entry$2, (lua.num(list) - 1), 16)) {
let [ending$3, size$2]: lua.Value[] = [...lua.unpackStruct(form$2, saved, one)]
if (lua.yes(lua.gt(ending$3, now))) {
lua.set(live, (lua.num(lua.len(live)) + 1), lua.sub(saved, one, (lua.num(one) + 15)))
} else {
{
const all: lua.Value[] = [(lua.num(count$2) - 1), (lua.num(total) - lua.num(size$2))]
count$2 = all[0]
total = all[1]
}
}
}
tail = lua.join(live)
}
}
at = (lua.num(at) + 8)
let used: lua.Value = total
let more: lua.Value = 0
let fits: lua.Value = 0
let entry$3: lua.Value = 1
while ((lua.yes(lua.lt(entry$3, lua.len(tail))) && (lua.yes(lua.eq(more, 0)) || lua.yes(lua.eq(fits, 0))))) {
let [ending$4, size$3]: lua.Value[] = [...lua.unpackStruct(form$2, tail, entry$3)]
{
const all: lua.Value[] = [(lua.num(used) - lua.num(size$3)), (lua.num(entry$3) + 16)]
used = all[0]
entry$3 = all[1]
}
if ((lua.yes(lua.lt(used, limit)) && lua.yes(lua.eq(more, 0)))) {
more = ending$4
}
if ((lua.yes(lua.le((lua.num(used) + lua.num(cost)), limit)) && lua.yes(lua.eq(fits, 0)))) {
fits = ending$4
}
}
if (lua.yes(lua.gt((lua.num(total) + lua.num(cost)), limit))) {
if (lua.yes(force)) {
cost = lua.max(0, (lua.num(limit) - lua.num(total)))
} else if (lua.yes(lua.gt(cost, 0))) {
verdict = "0"
}
}
let part: lua.Value = lua.or(lua.and(lua.and(lua.eq(kind, 8), () => lua.gt(unit, 0)), () => lua.ceil((lua.num(width) / lua.num(unit)))), () => 1)
let last$2: lua.Value = 0
let over$3: lua.Value = (lua.num((lua.num((lua.num((lua.num(now) - lua.num(lua.mod(lua.num(now), lua.num(part))))) + lua.num(part))) - 1)) + lua.num(width))
if (lua.yes(lua.gt(count$2, 0))) {
last$2 = lua.unpackStruct(">d", tail, (lua.num(lua.len(tail)) - 15))[0]
}
if ((lua.yes(lua.eq(kind, 8)) && lua.yes(lua.gt(last$2, over$3)))) {
over$3 = last$2
}
turns = lua.concat(turns, lua.pack(">dddd", last$2, over$3, fits, more))
if (lua.yes(lua.gt(cost, 0))) {
if ((lua.yes(lua.eq(kind, 8)) && lua.yes(lua.eq(last$2, over$3)))) {
let [_$2, size$4]: lua.Value[] = [...lua.unpackStruct(form$2, tail, (lua.num(lua.len(tail)) - 15))]
tail = lua.concat(lua.sub(tail, 1, -17), lua.pack(form$2, over$3, (lua.num(size$4) + lua.num(cost))))
} else {
count$2 = (lua.num(count$2) + 1)
tail = lua.concat(tail, lua.concat(lua.pack(form$2, over$3, cost), lua.or(lua.and(lua.eq(kind, 9), () => lua.sub(id, 1, 6)), () => "")))
}
if (lua.yes(lua.gt(over$3, full))) {
full = over$3
}
}
if (lua.yes(lua.gt(last$2, full))) {
full = last$2
}
{
const all: lua.Value[] = [lua.concat(record, lua.pack(">I4I4", count$2, (lua.num(total) + lua.num(cost)))), lua.concat(lists, tail)]
record = all[0]
lists = all[1]
}
}
}
reply = lua.or(reply, () => lua.concat(record, turns))
let again: lua.Value = lua.and(lua.and(mended, () => lua.eq(verdict, "0")), () => lua.eq(charge, 1))
if (lua.yes(again)) {
charge = 0
}
if ((lua.yes(spares) && lua.yes(lua.eq(verdict, "1")))) {
{
const all: lua.Value[] = [undefined, undefined, true]
spares = all[0]
reply = all[1]
again = all[2]
}
}
if (!lua.yes(again)) break
}
let marks: lua.Value = lua.or(lua.and(known, () => lua.sub(saved, list)), () => "")
let live$2: lua.Value = 1
while (lua.yes(lua.lt(live$2, lua.len(marks)))) {
let ending$5: lua.Value = lua.unpackStruct(">d", marks, live$2)[0]
if (lua.yes(lua.gt(ending$5, now))) {
break
}
live$2 = (lua.num(live$2) + 16)
}
if (lua.yes(lua.gt(live$2, 1))) {
marks = lua.sub(marks, live$2)
}
let found: lua.Value = lua.and(keep, () => lua.find(marks, id, 1, true)[0])
while ((lua.yes(found) && lua.yes(!lua.eq(lua.mod(lua.num(found), 16), 9)))) {
found = lua.find(marks, id, (lua.num(found) + 1), true)[0]
}
if (lua.yes(found)) {
{
const all: lua.Value[] = ["2", lua.concat(reply, lua.pack(">d", (lua.num(lua.unpackStruct(">d", marks, (lua.num(found) - 8))[0]) - lua.num(keep))))]
verdict = all[0]
reply = all[1]
}
} else if ((lua.yes(blocked) && lua.yes(lua.gt(taken, 0)))) {
{
const all: lua.Value[] = ["3", lua.concat(reply, lua.pack(">d", block))]
verdict = all[0]
reply = all[1]
}
} else if (lua.yes(blocked)) {
verdict = "1"
} else if ((lua.yes(keep) && lua.yes(lua.eq(verdict, "1")))) {
marks = lua.concat(lua.sub(marks, -15984), lua.concat(lua.pack(">d", (lua.num(now) + lua.num(keep))), id))
}
if (((lua.yes(lua.eq(verdict, "1")) || (lua.yes(mended) && lua.yes(lua.eq(charge, 0)))) && lua.yes(lua.gt(taken, 0)))) {
if (lua.yes(!lua.eq(marks, ""))) {
let ending$6: lua.Value = lua.unpackStruct(">d", marks, (lua.num(lua.len(marks)) - 15))[0]
if (lua.yes(lua.gt(ending$6, full))) {
full = ending$6
}
}
if (lua.yes(lua.gt(block, now))) {
lists = lua.concat(lua.pack(">d", block), lua.concat("\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000", lists))
if (lua.yes(lua.gt(block, full))) {
full = block
}
}
record = lua.concat(record, lua.concat(lists, marks))
let ms: lua.Value = lua.max(1, lua.ceil((lua.num((lua.num(full) - lua.num(now))) / 1000)))
if (lua.yes(joint)) {
return [lua.concat(verdict, reply), record, ms]
}
redis.call("SET", lua.index(KEYS, 1), record, "PX", ms)
}
return [lua.concat(verdict, reply)]
})
let time$2: lua.Value = redis.call("TIME")
let takes: lua.Value = lua.tonumber(lua.index(redis.ARGV, 5))
let [whole, record$2, ms$2]: lua.Value[] = [...lua.invoke(decide, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.index(redis.ARGV, 1), lua.index(redis.ARGV, 3), lua.index(redis.ARGV, 4), lua.index(redis.ARGV, 6)], [["joint", lua.table([], [["time", time$2], ["takes", takes]])]])])]
let open: lua.Value = lua.eq(lua.sub(whole, 1, 1), "1")
let [part$2, other, other_ms]: lua.Value[] = [...lua.invoke(decide, [lua.table([lua.index(redis.KEYS, 2)]), lua.table([lua.index(redis.ARGV, 2), lua.index(redis.ARGV, 3), "", lua.index(redis.ARGV, 7)], [["joint", lua.table([], [["time", time$2], ["takes", takes], ["refused", !lua.yes(open)]])]])])]
if ((lua.yes(open) && lua.yes(!lua.eq(lua.sub(part$2, 1, 1), "1")))) {
{
const all: lua.Value[] = [...lua.invoke(decide, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.index(redis.ARGV, 1), lua.index(redis.ARGV, 3), lua.index(redis.ARGV, 4), lua.index(redis.ARGV, 6)], [["joint", lua.table([], [["time", time$2], ["takes", takes], ["refused", true]])]])])]
whole = all[0]
record$2 = all[1]
ms$2 = all[2]
}
}
if (lua.yes(record$2)) {
redis.call("SET", lua.index(redis.KEYS, 1), record$2, "PX", ms$2)
}
if (lua.yes(other)) {
redis.call("SET", lua.index(redis.KEYS, 2), other, "PX", other_ms)
}
return lua.table([whole, part$2])
},
}
export default twin
