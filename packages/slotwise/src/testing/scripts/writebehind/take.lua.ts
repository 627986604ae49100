// Generated from writebehind/take.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/take',
sha1: '63eb25832b15161a7a2f569123b42342bea8f3b0',
run(redis) {
const lines: lua.Value = lua.fn((_: lua.Value, ARGV: lua.Value) => {
let chunk: lua.Value = lua.index(ARGV, 1)
let tags: lua.Value = lua.table([])
let ids: lua.Value = lua.table([])
let at: lua.Value = 25
while (lua.yes(lua.le(at, lua.len(chunk)))) {
let ends: lua.Value = (lua.num((lua.num((lua.num(at) + 9)) + lua.num((lua.num(lua.byte(chunk, (lua.num(at) + 8))) * 256)))) + lua.num(lua.byte(chunk, (lua.num(at) + 9))))
lua.set(tags, (lua.num(lua.len(tags)) + 1), lua.sub(chunk, at, (lua.num(at) + 7)))
lua.set(ids, (lua.num(lua.len(ids)) + 1), lua.sub(chunk, (lua.num(at) + 10), ends))
at = (lua.num(ends) + 1)
}
return [tags, ids]
})
let hash: lua.Value = lua.index(redis.KEYS, 1)
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "t", "b", "c", "o", "g")
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 7), "1")) && lua.yes(lua.index(meta, 2)))) {
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "l", lua.index(meta, 2))
}
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let last: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
let latest: lua.Value = lua.or(lua.index(meta, 3), () => lua.rep("\u0000", 8))
let oldest: lua.Value = lua.tonumber(lua.or(lua.index(meta, 7), () => first))
const cameWith: lua.Value = lua.fn((number: lua.Value) => {
let own: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", number)))
if (lua.yes(own)) {
return [number, own]
}
let start: lua.Value = oldest
while (lua.yes(lua.le(start, number))) {
let together: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", start)))
if (!lua.yes(together)) {
return [undefined]
}
let after: lua.Value = (lua.num((lua.num(start) + lua.num((lua.num(lua.byte(together, 23)) * 256)))) + lua.num(lua.byte(together, 24)))
if (lua.yes(lua.lt(number, after))) {
return [start, together]
}
start = after
}
return [undefined]
})
const goesOnFrom: lua.Value = lua.fn((number$2: lua.Value, tag: lua.Value, isEnd: lua.Value) => {
if (lua.yes(lua.eq(number$2, last))) {
return [lua.eq(tag, latest)]
}
if ((lua.yes(lua.lt(number$2, (lua.num(first) - 1))) || lua.yes(lua.gt(number$2, last)))) {
return [false]
}
let next: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", (lua.num(number$2) + 1))))
if (lua.yes(next)) {
return [lua.eq(lua.sub(next, 1, 8), tag)]
}
if (lua.yes(isEnd)) {
return [false]
}
let [start$2, together$2]: lua.Value[] = [...lua.invoke(cameWith, [number$2])]
if (!lua.yes(start$2)) {
return [false]
}
let tags$2: lua.Value = lua.invoke(lines, [lua.table([hash]), lua.table([together$2])])[0]
return [lua.eq(lua.index(tags$2, (lua.num((lua.num(number$2) - lua.num(start$2))) + 1)), tag)]
})
let number$3: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
let tag$2: lua.Value = lua.index(redis.ARGV, 2)
let goesOn: lua.Value = 0
let from: lua.Value = first
if ((lua.yes(lua.invoke(goesOnFrom, [lua.tonumber(lua.index(redis.ARGV, 3)), lua.index(redis.ARGV, 4), true])[0]) && lua.yes(lua.invoke(goesOnFrom, [number$3, tag$2, false])[0]))) {
goesOn = 1
from = (lua.num(number$3) + 1)
}
let most: lua.Value = lua.tonumber(lua.index(redis.ARGV, 5))
let letters: lua.Value = lua.tonumber(lua.or(lua.index(meta, 5), () => 0))
let reply: lua.Value = lua.table([goesOn, from, (lua.num(from) - 1), tag$2, last, latest, first, lua.tonumber(lua.or(lua.index(meta, 4), () => 0)), 0, letters, lua.table([])])
if (lua.yes(lua.gt(from, last))) {
lua.set(reply, 3, last)
lua.set(reply, 4, latest)
return reply
}
let owner: lua.Value = lua.index(redis.ARGV, 6)
let known: lua.Value = lua.or(lua.index(meta, 6), () => "")
let isSameKind: lua.Value = lua.eq(lua.sub(known, 1, 1), lua.sub(owner, 1, 1))
if ((!lua.yes(isSameKind) || lua.yes(lua.lt(lua.tonumber(lua.sub(known, 2)), lua.tonumber(lua.sub(owner, 2)))))) {
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "o", owner)
}
let seen: lua.Value = lua.table([])
let ids$2: lua.Value = lua.table([])
let count: lua.Value = 0
let [start$3, together$3]: lua.Value[] = [...lua.invoke(cameWith, [from])]
if (!lua.yes(together$3)) {
return lua.errorReply("ERR lines of this journal are missing")
}
while (lua.yes(together$3)) {
let [tags$3, names]: lua.Value[] = [...lua.invoke(lines, [lua.table([hash]), lua.table([together$3])])]
let at$2: lua.Value = (lua.num((lua.num((lua.num(from) + lua.num(count))) - lua.num(start$3))) + 1)
let ends$2: lua.Value = lua.len(tags$3)
if (lua.yes(lua.gt((lua.num((lua.num((lua.num(count) + lua.num(ends$2))) - lua.num(at$2))) + 1), most))) {
ends$2 = (lua.num((lua.num((lua.num(at$2) + lua.num(most))) - lua.num(count))) - 1)
}
if (lua.yes(lua.eq(count, 0))) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
lua.set(reply, 9, lua.max(0, (lua.num(now) - lua.num(lua.tonumber(lua.sub(together$3, 9, 22))))))
}
for (let i of lua.steps(at$2, ends$2)) {
let id: lua.Value = lua.index(names, i)
if (!lua.yes(lua.index(seen, id))) {
lua.set(seen, id, true)
lua.set(ids$2, (lua.num(lua.len(ids$2)) + 1), id)
}
}
lua.set(reply, 3, (lua.num((lua.num(start$3) + lua.num(ends$2))) - 1))
lua.set(reply, 4, lua.index(tags$3, ends$2))
count = (lua.num((lua.num((lua.num(count) + lua.num(ends$2))) - lua.num(at$2))) + 1)
if (lua.yes(lua.ge(count, most))) {
break
}
start$3 = (lua.num(start$3) + lua.num(lua.len(tags$3)))
together$3 = lua.and(lua.le(start$3, last), () => redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", start$3))))
}
let CHUNK: lua.Value = 1000
for (let start$4 of lua.steps(1, lua.len(ids$2), CHUNK)) {
let fields: lua.Value = lua.table([])
let ends$3: lua.Value = lua.min(lua.len(ids$2), (lua.num((lua.num(start$4) + lua.num(CHUNK))) - 1))
for (let i$2 of lua.steps(start$4, ends$3)) {
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.concat("s", lua.index(ids$2, i$2)))
}
let rows: lua.Value = redis.call("HMGET", hash, ...lua.unpack(fields))
for (let i$3 of lua.steps(start$4, ends$3)) {
let row: lua.Value = lua.index(rows, (lua.num((lua.num(i$3) - lua.num(start$4))) + 1))
if (lua.yes(row)) {
lua.set(reply, (lua.num(lua.len(reply)) + 1), lua.index(ids$2, i$3))
lua.set(reply, (lua.num(lua.len(reply)) + 1), row)
}
}
if (lua.yes(lua.gt(letters, 0))) {
for (let i$4 of lua.steps(1, lua.len(fields))) {
lua.set(fields, i$4, lua.concat("x", lua.index(ids$2, (lua.num((lua.num(start$4) + lua.num(i$4))) - 1))))
}
let found: lua.Value = redis.call("HMGET", hash, ...lua.unpack(fields))
for (let i$5 of lua.steps(1, lua.len(fields))) {
if (lua.yes(lua.index(found, i$5))) {
lua.set(lua.index(reply, 11), (lua.num(lua.len(lua.index(reply, 11))) + 1), lua.index(ids$2, (lua.num((lua.num(start$4) + lua.num(i$5))) - 1)))
}
}
}
}
return reply
},
}
export default twin
