// Generated from writebehind/trim.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/trim',
sha1: '62e5ccc935a01f448d3b802a480a34f8ae94b184',
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
let owner: lua.Value = lua.index(redis.ARGV, 4)
let known: lua.Value = lua.or(redis.call("HGET", hash, "o"), () => "")
if (((lua.yes(lua.eq(lua.sub(owner, 1, 1), "t")) && lua.yes(lua.eq(lua.sub(known, 1, 1), "t"))) && lua.yes(lua.gt(lua.tonumber(lua.sub(known, 2)), lua.tonumber(lua.sub(owner, 2)))))) {
return -1
}
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "b", "g")
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let last: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
let size: lua.Value = lua.tonumber(lua.or(lua.index(meta, 3), () => 0))
let oldest: lua.Value = lua.tonumber(lua.or(lua.index(meta, 4), () => first))
let to: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
if ((lua.yes(lua.lt(to, first)) || lua.yes(lua.gt(to, last)))) {
return 0
}
let chunks: lua.Value = lua.table([])
let start: lua.Value = oldest
let tagged: lua.Value = undefined
let came: lua.Value = undefined
while (lua.yes(lua.le(start, to))) {
let together: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", start)))
if (!lua.yes(together)) {
return 0
}
let [tags$2, ids$2]: lua.Value[] = [...lua.invoke(lines, [lua.table([hash]), lua.table([together])])]
if (lua.yes(lua.eq(lua.len(ids$2), 0))) {
return 0
}
came = lua.or(came, () => lua.tonumber(lua.sub(together, 9, 22)))
lua.set(chunks, (lua.num(lua.len(chunks)) + 1), lua.table([start, tags$2, ids$2]))
start = (lua.num(start) + lua.num(lua.len(ids$2)))
tagged = lua.index(tags$2, (lua.num(lua.len(tags$2)) - lua.num((lua.num((lua.num(start) - 1)) - lua.num(to)))))
}
if (lua.yes(!lua.eq(tagged, lua.index(redis.ARGV, 2)))) {
return 0
}
redis.call("HDEL", hash, "w")
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let removed: lua.Value = redis.call("HGET", hash, "y")
let since: lua.Value = now
let every: lua.Value = 0
if (lua.yes(removed)) {
{
const all: lua.Value[] = [lua.or(lua.tonumber(lua.sub(removed, 9, 22)), () => now), lua.or(lua.tonumber(lua.sub(removed, 23)), () => 0)]
since = all[0]
every = all[1]
}
}
if ((!lua.yes(removed) || lua.yes(lua.gt(came, since)))) {
since = came
}
let took: lua.Value = lua.max(0, (lua.num(now) - lua.num(since)))
if (lua.yes(removed)) {
took = lua.floor((lua.num((lua.num(took) + lua.num(every))) / 2))
}
let gone: lua.Value = lua.table([])
let ids$3: lua.Value = lua.table([])
let tags$3: lua.Value = lua.table([])
const sweep: lua.Value = lua.fn(() => {
if (lua.yes(lua.gt(lua.len(ids$3), 0))) {
let rows: lua.Value = lua.table([])
for (let i of lua.steps(1, lua.len(ids$3))) {
lua.set(rows, i, lua.concat("s", lua.index(ids$3, i)))
}
let found: lua.Value = redis.call("HMGET", hash, ...lua.unpack(rows))
for (let i$2 of lua.steps(1, lua.len(rows))) {
let row: lua.Value = lua.index(found, i$2)
if ((lua.yes(row) && lua.yes(lua.eq(lua.sub(row, 1, 8), lua.index(tags$3, lua.index(ids$3, i$2)))))) {
size = (lua.num(size) - lua.num(lua.len(row)))
lua.set(gone, (lua.num(lua.len(gone)) + 1), lua.index(rows, i$2))
}
}
}
if (lua.yes(lua.gt(lua.len(gone), 0))) {
redis.call("HDEL", hash, ...lua.unpack(gone))
}
{
const all: lua.Value[] = [lua.table([]), lua.table([]), lua.table([])]
gone = all[0]
ids$3 = all[1]
tags$3 = all[2]
}
return []
})
let CHUNK: lua.Value = 1000
let count: lua.Value = 0
for (let i$3 of lua.steps(1, lua.len(chunks))) {
let from: lua.Value = lua.index(lua.index(chunks, i$3), 1)
let tagsOf: lua.Value = lua.index(lua.index(chunks, i$3), 2)
let names: lua.Value = lua.index(lua.index(chunks, i$3), 3)
start = (lua.num(from) + lua.num(lua.len(names)))
for (let n of lua.steps(lua.max(first, from), lua.min(to, (lua.num(start) - 1)))) {
let id: lua.Value = lua.index(names, (lua.num((lua.num(n) - lua.num(from))) + 1))
if (!lua.yes(lua.index(tags$3, id))) {
lua.set(ids$3, (lua.num(lua.len(ids$3)) + 1), id)
}
lua.set(tags$3, id, lua.index(tagsOf, (lua.num((lua.num(n) - lua.num(from))) + 1)))
size = (lua.num((lua.num(size) - 34)) - lua.num(lua.len(id)))
count = (lua.num(count) + 1)
}
if (lua.yes(lua.le((lua.num(start) - 1), to))) {
lua.set(gone, (lua.num(lua.len(gone)) + 1), lua.concat("j", lua.format("%.0f", from)))
} else {
start = from
}
if (lua.yes(lua.ge(count, CHUNK))) {
lua.invoke(sweep, [])[0]
count = 0
}
}
lua.invoke(sweep, [])[0]
redis.call("HSET", hash, "f", lua.format("%.0f", (lua.num(to) + 1)), "b", lua.format("%.0f", size), "y", lua.concat(lua.index(redis.ARGV, 3), lua.format("%014.0f%.0f", now, took)))
if (lua.yes(lua.le(start, to))) {
redis.call("HSET", hash, "g", lua.format("%.0f", start))
} else if (lua.yes(lua.index(meta, 4))) {
redis.call("HDEL", hash, "g")
}
return (lua.num((lua.num(to) - lua.num(first))) + 1)
},
}
export default twin
