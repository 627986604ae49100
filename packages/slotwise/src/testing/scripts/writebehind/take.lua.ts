// Generated from writebehind/take.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/take',
sha1: '3f8e0f536bd97f77380080ed12b7b998dba868e8',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "t", "b", "c", "o")
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 7), "1")) && lua.yes(lua.index(meta, 2)))) {
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "l", lua.index(meta, 2))
}
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let last: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
let latest: lua.Value = lua.or(lua.index(meta, 3), () => lua.rep("\u0000", 8))
const goesOnFrom: lua.Value = lua.fn((number: lua.Value, tag: lua.Value) => {
if (lua.yes(lua.eq(number, last))) {
return [lua.eq(tag, latest)]
}
if ((lua.yes(lua.lt(number, (lua.num(first) - 1))) || lua.yes(lua.gt(number, last)))) {
return [false]
}
let next: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", (lua.num(number) + 1))))
return [lua.and(next, () => lua.eq(lua.sub(next, 9, 16), tag))]
})
let number$2: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
let tag$2: lua.Value = lua.index(redis.ARGV, 2)
let goesOn: lua.Value = 0
let from: lua.Value = first
if ((lua.yes(lua.invoke(goesOnFrom, [number$2, tag$2])[0]) && lua.yes(lua.invoke(goesOnFrom, [lua.tonumber(lua.index(redis.ARGV, 3)), lua.index(redis.ARGV, 4)])[0]))) {
goesOn = 1
from = (lua.num(number$2) + 1)
}
let upTo: lua.Value = lua.min(last, (lua.num((lua.num(from) + lua.num(lua.tonumber(lua.index(redis.ARGV, 5))))) - 1))
let letters: lua.Value = lua.tonumber(lua.or(lua.index(meta, 5), () => 0))
let reply: lua.Value = lua.table([goesOn, from, upTo, tag$2, last, latest, first, lua.tonumber(lua.or(lua.index(meta, 4), () => 0)), 0, letters, lua.table([])])
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
let CHUNK: lua.Value = 1000
let seen: lua.Value = lua.table([])
let ids: lua.Value = lua.table([])
for (let start of lua.steps(from, upTo, CHUNK)) {
let places: lua.Value = lua.table([])
for (let at of lua.steps(start, lua.min(upTo, (lua.num((lua.num(start) + lua.num(CHUNK))) - 1)))) {
lua.set(places, (lua.num(lua.len(places)) + 1), lua.concat("j", lua.format("%.0f", at)))
}
let lines: lua.Value = redis.call("HMGET", hash, ...lua.unpack(places))
for (let i of lua.steps(1, lua.len(places))) {
let line: lua.Value = lua.index(lines, i)
if (lua.yes(line)) {
lua.set(reply, 4, lua.sub(line, 1, 8))
if (lua.yes(lua.eq((lua.num((lua.num(start) + lua.num(i))) - 1), from))) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
lua.set(reply, 9, lua.max(0, (lua.num(now) - lua.num(lua.tonumber(lua.sub(line, 17, 30))))))
}
let id: lua.Value = lua.sub(line, 31)
if (!lua.yes(lua.index(seen, id))) {
lua.set(seen, id, true)
lua.set(ids, (lua.num(lua.len(ids)) + 1), id)
}
}
}
}
for (let start$2 of lua.steps(1, lua.len(ids), CHUNK)) {
let fields: lua.Value = lua.table([])
let ends: lua.Value = lua.min(lua.len(ids), (lua.num((lua.num(start$2) + lua.num(CHUNK))) - 1))
for (let i$2 of lua.steps(start$2, ends)) {
lua.set(fields, (lua.num(lua.len(fields)) + 1), lua.concat("s", lua.index(ids, i$2)))
}
let rows: lua.Value = redis.call("HMGET", hash, ...lua.unpack(fields))
for (let i$3 of lua.steps(start$2, ends)) {
let row: lua.Value = lua.index(rows, (lua.num((lua.num(i$3) - lua.num(start$2))) + 1))
if (lua.yes(row)) {
lua.set(reply, (lua.num(lua.len(reply)) + 1), lua.index(ids, i$3))
lua.set(reply, (lua.num(lua.len(reply)) + 1), row)
}
}
if (lua.yes(lua.gt(letters, 0))) {
for (let i$4 of lua.steps(1, lua.len(fields))) {
lua.set(fields, i$4, lua.concat("x", lua.index(ids, (lua.num((lua.num(start$2) + lua.num(i$4))) - 1))))
}
let found: lua.Value = redis.call("HMGET", hash, ...lua.unpack(fields))
for (let i$5 of lua.steps(1, lua.len(fields))) {
if (lua.yes(lua.index(found, i$5))) {
lua.set(lua.index(reply, 11), (lua.num(lua.len(lua.index(reply, 11))) + 1), lua.index(ids, (lua.num((lua.num(start$2) + lua.num(i$5))) - 1)))
}
}
}
}
return reply
},
}
export default twin
