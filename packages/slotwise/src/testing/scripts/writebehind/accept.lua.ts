// Generated from writebehind/accept.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/accept',
sha1: '312ca5a6f644205d5430afee77ef6ae6c9dbd605',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let layout: lua.Value = lua.index(redis.ARGV, 1)
let most: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let room: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let WORDS: lua.Value = lua.table([], [["s", 3], ["d", 2], ["i", 7], ["S", 4], ["D", 3], ["m", 3]])
let wanted: lua.Value = lua.table(["f", "l", "t", "b", "p"])
let at: lua.Value = 6
while (lua.yes(lua.le(at, lua.len(redis.ARGV)))) {
let kind: lua.Value = lua.index(redis.ARGV, at)
lua.set(wanted, (lua.num(lua.len(wanted)) + 1), lua.concat(lua.or(lua.and(lua.eq(kind, "m"), () => "m"), () => "s"), lua.index(redis.ARGV, (lua.num(at) + 1))))
at = (lua.num(at) + lua.num(lua.index(WORDS, kind)))
}
let found: lua.Value = redis.call("HMGET", hash, ...lua.unpack(wanted))
if (((lua.yes(!lua.eq(layout, "")) && lua.yes(lua.index(found, 5))) && lua.yes(!lua.eq(lua.index(found, 5), layout)))) {
return lua.table([0])
}
let first: lua.Value = lua.tonumber(lua.or(lua.index(found, 1), () => 1))
let last: lua.Value = lua.tonumber(lua.or(lua.index(found, 2), () => 0))
let latest: lua.Value = lua.or(lua.index(found, 3), () => lua.rep("\u0000", 8))
let size: lua.Value = lua.tonumber(lua.or(lua.index(found, 4), () => 0))
let rows: lua.Value = lua.table([])
let changed: lua.Value = lua.table([])
let marks: lua.Value = lua.table([])
let lines: lua.Value = lua.table([])
let fields: lua.Value = lua.table([])
let kept: lua.Value = lua.table([])
let before: lua.Value = last
let followed: lua.Value = latest
let isKnown: lua.Value = false
const full: lua.Value = lua.fn(() => {
let known: lua.Value = redis.call("HMGET", hash, "y", "g")
let removed: lua.Value = lua.index(known, 1)
let oldest: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.or(lua.index(known, 2), () => lua.format("%.0f", first))))
if ((!lua.yes(removed) || lua.yes(lua.lt(lua.len(removed), 23)))) {
return [lua.table([0, (lua.num((lua.num(last) - lua.num(first))) + 1), size, -1])]
}
let came: lua.Value = lua.or(lua.and(oldest, () => lua.tonumber(lua.sub(oldest, 9, 22))), () => now)
let since: lua.Value = lua.max(lua.tonumber(lua.sub(removed, 9, 22)), came)
return [lua.table([0, (lua.num((lua.num(last) - lua.num(first))) + 1), size, lua.abs((lua.num(lua.tonumber(lua.sub(removed, 23))) - lua.num((lua.num(now) - lua.num(since)))))])]
})
const counted: lua.Value = lua.fn((row: lua.Value, field: lua.Value, by: lua.Value, value: lua.Value, bytes: lua.Value, expected: lua.Value) => {
let kind$2: lua.Value = lua.sub(row, 9, 9)
let others: lua.Value = ""
let count: lua.Value = undefined
let counters: lua.Value = ""
let state: lua.Value = lua.sub(row, 10)
if (lua.yes(lua.eq(kind$2, "c"))) {
let length: lua.Value = lua.tonumber(lua.sub(row, 10, 13))
{
const all: lua.Value[] = [lua.sub(row, 14, (13 + lua.num(length))), lua.sub(row, (14 + lua.num(length)))]
counters = all[0]
state = all[1]
}
}
let start: lua.Value = 1
while (lua.yes(lua.le(start, lua.len(counters)))) {
let named: lua.Value = (lua.num(start) + lua.num(lua.byte(counters, start)))
let ends: lua.Value = (lua.num((lua.num(named) + 1)) + lua.num(lua.byte(counters, (lua.num(named) + 1))))
if (lua.yes(lua.eq(lua.sub(counters, (lua.num(start) + 1), named), field))) {
count = lua.sub(counters, (lua.num(named) + 2), ends)
} else {
others = lua.concat(others, lua.sub(counters, start, ends))
}
start = (lua.num(ends) + 1)
}
if (!lua.yes(count)) {
let known$2: lua.Value = lua.or(lua.and(!lua.eq(row, ""), () => lua.sub(row, 1, 8)), () => lua.concat("y", lua.or(redis.call("HGET", hash, "y"), () => "")))
if ((lua.yes(lua.eq(value, "")) || lua.yes(!lua.eq(expected, known$2)))) {
return [undefined, lua.table([2, known$2, lua.or(lua.and(lua.eq(row, ""), () => ""), () => lua.or(lua.and(lua.eq(kind$2, "d"), () => "d"), () => lua.concat("s", state)))])]
}
if (lua.yes(lua.gt(lua.len(others), 4096))) {
return [undefined, lua.table([4])]
}
{
const all: lua.Value[] = [value, bytes]
count = all[0]
state = all[1]
}
}
let sum: lua.Value = (lua.num(lua.tonumber(count)) + lua.num(lua.tonumber(by)))
if (lua.yes(lua.gt(lua.abs(sum), 9007199254740991))) {
return [undefined, lua.table([3])]
}
let text: lua.Value = lua.format("%.0f", sum)
counters = lua.concat(others, lua.concat(lua.char(lua.len(field)), lua.concat(field, lua.concat(lua.char(lua.len(text)), text))))
return [lua.concat("c", lua.concat(lua.format("%04d", lua.len(counters)), lua.concat(counters, state))), text]
})
let micros: lua.Value = (lua.num((lua.num(lua.mod(lua.num(lua.tonumber(lua.index(time, 1))), 256)) * 1000000)) + lua.num(lua.tonumber(lua.index(time, 2))))
let tried: lua.Value = lua.char(lua.floor((lua.num(micros) / 2097152)), lua.mod(lua.num(lua.floor((lua.num(micros) / 16384))), 128), lua.mod(lua.num(lua.floor((lua.num(micros) / 128))), 128), lua.mod(lua.num(micros), 128))
let moment: lua.Value = lua.concat("0", lua.concat(lua.index(time, 1), lua.sub(lua.concat("00000", lua.index(time, 2)), -6, -4)))
let reply: lua.Value = lua.table([first])
let nth: lua.Value = 0
let place: lua.Value = 6
at = 6
while (lua.yes(lua.le(at, lua.len(redis.ARGV)))) {
let kind$3: lua.Value = lua.index(redis.ARGV, at)
let mark: lua.Value = undefined
let markMs: lua.Value = undefined
let answer: lua.Value = undefined
if (lua.yes(lua.eq(kind$3, "m"))) {
{
const all: lua.Value[] = [lua.index(redis.ARGV, (lua.num(at) + 1)), lua.index(redis.ARGV, (lua.num(at) + 2))]
mark = all[0]
markMs = all[1]
}
let known$3: lua.Value = lua.or(lua.index(marks, mark), () => lua.index(found, place))
if ((lua.yes(known$3) && lua.yes(lua.gt(lua.tonumber(lua.sub(known$3, 1, 14)), now)))) {
answer = lua.table([1, lua.tonumber(lua.sub(known$3, 15, 28)), lua.sub(known$3, 29)])
isKnown = true
}
place = (lua.num(place) + 1)
at = (lua.num(at) + 3)
kind$3 = lua.index(redis.ARGV, at)
}
let id: lua.Value = lua.index(redis.ARGV, (lua.num(at) + 1))
let field$2: lua.Value = lua.index(wanted, place)
let row$2: lua.Value = lua.or(lua.or(lua.index(rows, field$2), () => lua.index(found, place)), () => "")
place = (lua.num(place) + 1)
nth = (lua.num(nth) + 1)
let after: lua.Value = undefined
let state$2: lua.Value = ""
let value$2: lua.Value = undefined
if (lua.yes(answer)) {

} else if ((lua.yes(lua.ge((lua.num((lua.num(last) - lua.num(first))) + 1), most)) || lua.yes(lua.ge(size, room)))) {
answer = lua.invoke(full, [])[0]
} else if (lua.yes(lua.eq(kind$3, "s"))) {
{
const all: lua.Value[] = ["s", lua.index(redis.ARGV, (lua.num(at) + 2))]
after = all[0]
state$2 = all[1]
}
} else if (lua.yes(lua.eq(kind$3, "d"))) {
after = "d"
} else if (lua.yes(lua.eq(kind$3, "i"))) {
{
const all: lua.Value[] = [...lua.invoke(counted, [row$2, lua.index(redis.ARGV, (lua.num(at) + 2)), lua.index(redis.ARGV, (lua.num(at) + 3)), lua.index(redis.ARGV, (lua.num(at) + 4)), lua.index(redis.ARGV, (lua.num(at) + 5)), lua.index(redis.ARGV, (lua.num(at) + 6))])]
after = all[0]
value$2 = all[1]
}
if (!lua.yes(after)) {
answer = value$2
}
} else {
let letter: lua.Value = lua.or(redis.call("HGET", hash, lua.concat("x", id)), () => "")
if ((lua.yes(!lua.eq(row$2, "")) || lua.yes(!lua.eq(lua.sub(letter, 15, 22), lua.index(redis.ARGV, (lua.num(at) + lua.num(lua.or(lua.and(lua.eq(kind$3, "S"), () => 3), () => 2)))))))) {
answer = lua.table([2, lua.sub(row$2, 1, 8), ""])
} else if (lua.yes(lua.eq(kind$3, "S"))) {
{
const all: lua.Value[] = ["s", lua.index(redis.ARGV, (lua.num(at) + 2))]
after = all[0]
state$2 = all[1]
}
} else {
after = "d"
}
}
if (lua.yes(after)) {
let grown: lua.Value = (lua.num((lua.num((lua.num((lua.num((lua.num((lua.num(size) + 34)) + lua.num(lua.len(id)))) + 8)) + lua.num(lua.len(after)))) + lua.num(lua.len(state$2)))) - lua.num(lua.len(row$2)))
if ((lua.yes(lua.gt(grown, room)) && lua.yes(lua.ge(last, first)))) {
answer = lua.invoke(full, [])[0]
} else {
size = grown
last = (lua.num(last) + 1)
let tag: lua.Value = lua.concat(lua.sub(lua.index(redis.ARGV, 5), (lua.num((4 * lua.num(nth))) - 3), (4 * lua.num(nth))), tried)
if (!lua.yes(lua.index(rows, field$2))) {
lua.set(changed, (lua.num(lua.len(changed)) + 1), field$2)
}
lua.set(rows, field$2, lua.concat(tag, lua.concat(after, state$2)))
lua.set(lines, (lua.num(lua.len(lines)) + 1), lua.concat(tag, lua.concat(lua.char(lua.floor((lua.num(lua.len(id)) / 256)), lua.mod(lua.num(lua.len(id)), 256)), id)))
latest = tag
answer = last
if (lua.yes(value$2)) {
answer = lua.table([1, last, value$2])
}
if ((lua.yes(mark) && lua.yes(lua.ge((lua.num(last) - lua.num(first)), lua.tonumber(lua.index(redis.ARGV, 4)))))) {
lua.set(marks, mark, lua.concat(lua.format("%014.0f%014.0f", (lua.num(now) + lua.num(lua.tonumber(markMs))), last), lua.or(value$2, () => "")))
lua.set(kept, (lua.num(lua.len(kept)) + 1), mark)
}
}
}
lua.set(reply, (lua.num(lua.len(reply)) + 1), answer)
at = (lua.num(at) + lua.num(lua.index(WORDS, kind$3)))
}
if (lua.yes(lua.gt(last, before))) {
for (let i of lua.steps(1, lua.len(changed))) {
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.index(changed, i))
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.index(rows, lua.index(changed, i)))
}
if (!lua.yes(lua.index(found, 1))) {
lua.set(fields, (lua.num(lua.len(fields)) + 1), "f")
lua.set(fields, (lua.num(lua.len(fields)) + 1), "1")
}
if ((!lua.yes(lua.index(found, 5)) && lua.yes(!lua.eq(layout, "")))) {
lua.set(fields, (lua.num(lua.len(fields)) + 1), "p")
lua.set(fields, (lua.num(lua.len(fields)) + 1), layout)
}
redis.call("HSET", hash, "l", lua.format("%.0f", last), "t", latest, "b", lua.format("%.0f", size), lua.concat("j", lua.format("%.0f", (lua.num(before) + 1))), lua.concat(followed, lua.concat(moment, lua.concat(lua.char(lua.floor((lua.num(lua.len(lines)) / 256)), lua.mod(lua.num(lua.len(lines)), 256)), lua.join(lines)))), ...lua.unpack(fields))
} else if (lua.yes(isKnown)) {
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "l", lua.format("%.0f", last))
}
if (lua.yes(lua.gt(lua.len(kept), 0))) {
let queue: lua.Value = redis.call("HMGET", hash, "qf", "ql")
let head: lua.Value = lua.tonumber(lua.or(lua.index(queue, 1), () => 1))
let tail: lua.Value = lua.tonumber(lua.or(lua.index(queue, 2), () => 0))
fields = lua.table([])
for (let i$2 of lua.steps(1, lua.len(kept))) {
tail = (lua.num(tail) + 1)
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.concat("m", lua.index(kept, i$2)))
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.index(marks, lua.index(kept, i$2)))
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.concat("q", lua.format("%.0f", tail)))
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.index(kept, i$2))
}
redis.call("HSET", hash, "ql", lua.format("%.0f", tail), ...lua.unpack(fields))
for (let _ of lua.steps(1, (2 * lua.num(lua.len(kept))))) {
let oldest_at: lua.Value = lua.concat("q", lua.format("%.0f", head))
let oldest$2: lua.Value = redis.call("HGET", hash, oldest_at)
let known$4: lua.Value = lua.and(oldest$2, () => redis.call("HGET", hash, lua.concat("m", oldest$2)))
if ((lua.yes(oldest$2) && (!lua.yes(known$4) || lua.yes(lua.le(lua.tonumber(lua.sub(known$4, 1, 14)), now))))) {
redis.call("HDEL", hash, oldest_at, lua.concat("m", oldest$2))
head = (lua.num(head) + 1)
}
}
redis.call("HSET", hash, "qf", lua.format("%.0f", head))
}
return reply
},
}
export default twin
