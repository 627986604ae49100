// Generated from writebehind/trim.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/trim',
sha1: 'bda25beee6055e4df1ea51d5a8f7c3055c5cea68',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let owner: lua.Value = lua.index(redis.ARGV, 4)
let known: lua.Value = lua.or(redis.call("HGET", hash, "o"), () => "")
if (((lua.yes(lua.eq(lua.sub(owner, 1, 1), "t")) && lua.yes(lua.eq(lua.sub(known, 1, 1), "t"))) && lua.yes(lua.gt(lua.tonumber(lua.sub(known, 2)), lua.tonumber(lua.sub(owner, 2)))))) {
return -1
}
let last: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.index(redis.ARGV, 1)))
if ((!lua.yes(last) || lua.yes(!lua.eq(lua.sub(last, 1, 8), lua.index(redis.ARGV, 2))))) {
return 0
}
let meta: lua.Value = redis.call("HMGET", hash, "f", "b")
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let size: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
let to: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
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
let oldest: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", first)))
if ((lua.yes(oldest) && (!lua.yes(removed) || lua.yes(lua.gt(lua.tonumber(lua.sub(oldest, 17, 30)), since))))) {
since = lua.tonumber(lua.sub(oldest, 17, 30))
}
let took: lua.Value = lua.max(0, (lua.num(now) - lua.num(since)))
if (lua.yes(removed)) {
took = lua.floor((lua.num((lua.num(took) + lua.num(every))) / 2))
}
let CHUNK: lua.Value = 1000
for (let start of lua.steps(first, to, CHUNK)) {
let gone: lua.Value = lua.table([])
for (let number of lua.steps(start, lua.min(to, (lua.num((lua.num(start) + lua.num(CHUNK))) - 1)))) {
lua.set(gone, (lua.num(lua.len(gone)) + 1), lua.concat("j", lua.format("%.0f", number)))
}
let lines: lua.Value = redis.call("HMGET", hash, ...lua.unpack(gone))
let seen: lua.Value = lua.table([])
let tags: lua.Value = lua.table([])
let rows: lua.Value = lua.table([])
for (let i of lua.steps(lua.len(gone), 1, -1)) {
let line: lua.Value = lua.index(lines, i)
if (lua.yes(line)) {
let id: lua.Value = lua.sub(line, 31)
size = (lua.num(size) - lua.num(lua.len(line)))
if (!lua.yes(lua.index(seen, id))) {
lua.set(seen, id, true)
lua.set(rows, (lua.num(lua.len(rows)) + 1), lua.concat("s", id))
lua.set(tags, (lua.num(lua.len(tags)) + 1), lua.sub(line, 1, 8))
}
}
}
if (lua.yes(lua.gt(lua.len(rows), 0))) {
let found: lua.Value = redis.call("HMGET", hash, ...lua.unpack(rows))
for (let i$2 of lua.steps(1, lua.len(rows))) {
let row: lua.Value = lua.index(found, i$2)
if ((lua.yes(row) && lua.yes(lua.eq(lua.sub(row, 1, 8), lua.index(tags, i$2))))) {
size = (lua.num(size) - lua.num(lua.len(row)))
lua.set(gone, (lua.num(lua.len(gone)) + 1), lua.index(rows, i$2))
}
}
}
redis.call("HDEL", hash, ...lua.unpack(gone))
}
redis.call("HSET", hash, "f", lua.format("%.0f", (lua.num(to) + 1)), "b", lua.format("%.0f", size), "y", lua.concat(lua.index(redis.ARGV, 3), lua.format("%014.0f%.0f", now, took)))
return (lua.num((lua.num(to) - lua.num(first))) + 1)
},
}
export default twin
