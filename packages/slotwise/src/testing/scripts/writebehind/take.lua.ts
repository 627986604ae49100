// Generated from writebehind/take.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/take',
sha1: 'ab0cbc184c7da93e830dc851998b5795dc2a4f19',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "t")
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 6), "1")) && lua.yes(lua.index(meta, 2)))) {
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
return []
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
let reply: lua.Value = lua.table([goesOn, from, upTo, tag$2, last, latest, first])
if (lua.yes(lua.gt(from, last))) {
lua.set(reply, 3, last)
lua.set(reply, 4, latest)
}
let seen: lua.Value = lua.table([])
for (let at of lua.steps(from, upTo)) {
let line: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", at)))
if (lua.yes(line)) {
lua.set(reply, 4, lua.sub(line, 1, 8))
let id: lua.Value = lua.sub(line, 31)
if (!lua.yes(lua.index(seen, id))) {
lua.set(seen, id, true)
let row: lua.Value = redis.call("HMGET", hash, lua.concat("s", id), lua.concat("n", id))
lua.set(reply, (lua.num(lua.len(reply)) + 1), lua.table([id, lua.or(lua.index(row, 1), () => ""), lua.or(lua.index(row, 2), () => "")]))
}
}
}
return reply
},
}
export default twin
