// Generated from writebehind/bequeath.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/bequeath',
sha1: 'f41de32755d48889fa37676c22668d93a1e0dd78',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let meta: lua.Value = redis.call("HMGET", hash, "p", "c")
if (lua.yes(!lua.eq(lua.index(meta, 1), lua.index(redis.ARGV, 1)))) {
return 0
}
redis.call("HDEL", hash, "w")
let count: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
for (let at of lua.steps(2, (lua.num(lua.len(redis.ARGV)) - 2), 3)) {
let id: lua.Value = lua.index(redis.ARGV, at)
let letter: lua.Value = redis.call("HGET", hash, lua.concat("x", id))
let place: lua.Value = lua.and(letter, () => lua.sub(letter, 1, 14))
if (!lua.yes(place)) {
count = (lua.num(count) + 1)
place = lua.format("%014.0f", count)
redis.call("HSET", hash, lua.concat("i", lua.format("%.0f", count)), id, "c", lua.format("%.0f", count))
}
redis.call("HSET", hash, lua.concat("x", id), lua.concat(place, lua.concat(lua.index(redis.ARGV, (lua.num(at) + 1)), lua.index(redis.ARGV, (lua.num(at) + 2)))))
}
return 1
},
}
export default twin
