// Generated from writebehind/bury.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/bury',
sha1: '1df14a56d9f90a1be8ee00adfd695d13c850711c',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let owner: lua.Value = lua.index(redis.ARGV, 1)
let meta: lua.Value = redis.call("HMGET", hash, "l", "t", "c", "o")
let known: lua.Value = lua.or(lua.index(meta, 4), () => "")
if ((lua.yes(lua.eq(lua.sub(known, 1, 1), lua.sub(owner, 1, 1))) && lua.yes(lua.gt(lua.tonumber(lua.sub(known, 2)), lua.tonumber(lua.sub(owner, 2)))))) {
return lua.table([0])
}
redis.call("HDEL", hash, "w")
let count: lua.Value = lua.tonumber(lua.or(lua.index(meta, 3), () => 0))
let reply: lua.Value = lua.table([1, lua.tonumber(lua.or(lua.index(meta, 1), () => 0)), lua.or(lua.index(meta, 2), () => lua.rep("\u0000", 8))])
for (let at of lua.steps(3, (lua.num(lua.len(redis.ARGV)) - 2), 3)) {
let id: lua.Value = lua.index(redis.ARGV, at)
let tag: lua.Value = lua.index(redis.ARGV, (lua.num(at) + 1))
if (lua.yes(lua.eq(lua.sub(lua.or(redis.call("HGET", hash, lua.concat("s", id)), () => ""), 1, 8), tag))) {
let letter: lua.Value = redis.call("HGET", hash, lua.concat("x", id))
let place: lua.Value = lua.and(letter, () => lua.sub(letter, 1, 14))
if (!lua.yes(place)) {
count = (lua.num(count) + 1)
place = lua.format("%014.0f", count)
redis.call("HSET", hash, lua.concat("i", lua.format("%.0f", count)), id, "c", lua.format("%.0f", count))
}
redis.call("HSET", hash, lua.concat("x", id), lua.concat(place, lua.concat(tag, lua.index(redis.ARGV, (lua.num(at) + 2)))))
lua.set(reply, (lua.num(lua.len(reply)) + 1), id)
} else {
redis.call("HSET", hash, lua.concat("u", id), lua.index(redis.ARGV, 2))
}
}
return reply
},
}
export default twin
