// Generated from writebehind/forget.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/forget',
sha1: 'd5a7db3114ea10fa2f7f70c84a78f85973b97bb0',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let owner: lua.Value = lua.index(redis.ARGV, 1)
let meta: lua.Value = redis.call("HMGET", hash, "c", "o", "p")
let kind: lua.Value = lua.sub(owner, 1, 1)
if ((lua.yes(lua.eq(kind, "e")) || lua.yes(lua.eq(kind, "t")))) {
let known: lua.Value = lua.or(lua.index(meta, 2), () => "")
if ((lua.yes(lua.eq(lua.sub(known, 1, 1), kind)) && lua.yes(lua.gt(lua.tonumber(lua.sub(known, 2)), lua.tonumber(lua.sub(owner, 2)))))) {
return -1
}
} else {
let sealed: lua.Value = lua.or(lua.index(meta, 3), () => "")
if (lua.yes(!lua.eq(lua.sub(sealed, 1, 1), ">"))) {
sealed = ""
}
if (lua.yes(!lua.eq(owner, sealed))) {
return -1
}
}
redis.call("HDEL", hash, "w")
let before: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 0))
let count: lua.Value = before
let gone: lua.Value = lua.table([])
let passed: lua.Value = lua.table([])
for (let at of lua.steps(2, (lua.num(lua.len(redis.ARGV)) - 1), 2)) {
let id: lua.Value = lua.index(redis.ARGV, at)
let tag: lua.Value = lua.index(redis.ARGV, (lua.num(at) + 1))
let letter: lua.Value = redis.call("HGET", hash, lua.concat("x", id))
if (((lua.yes(letter) && !lua.yes(lua.index(gone, id))) && (lua.yes(lua.eq(tag, "")) || lua.yes(lua.eq(lua.sub(letter, 15, 22), tag))))) {
lua.set(gone, id, true)
let place: lua.Value = lua.sub(letter, 1, 14)
let last: lua.Value = lua.concat("i", lua.format("%.0f", count))
let name: lua.Value = redis.call("HGET", hash, last)
if ((lua.yes(name) && lua.yes(!lua.eq(name, id)))) {
let moved: lua.Value = lua.or(redis.call("HGET", hash, lua.concat("x", name)), () => "")
redis.call("HSET", hash, lua.concat("i", lua.format("%.0f", lua.tonumber(place))), name, lua.concat("x", name), lua.concat(place, lua.sub(moved, 15)))
}
count = (lua.num(count) - 1)
redis.call("HSET", hash, "c", lua.format("%.0f", count))
redis.call("HDEL", hash, last, lua.concat("x", id))
}
if (lua.yes(lua.eq(tag, ""))) {
lua.set(passed, (lua.num(lua.len(passed)) + 1), lua.concat("u", id))
}
}
if (lua.yes(lua.gt(lua.len(passed), 0))) {
redis.call("HDEL", hash, ...lua.unpack(passed))
}
return (lua.num(before) - lua.num(count))
},
}
export default twin
