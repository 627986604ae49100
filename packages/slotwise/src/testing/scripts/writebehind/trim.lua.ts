// Generated from writebehind/trim.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/trim',
sha1: '4db066f67650c5b041af17c65a0a02b0d28c0309',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
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
for (let number of lua.steps(first, to)) {
let place: lua.Value = lua.concat("j", lua.format("%.0f", number))
let line: lua.Value = redis.call("HGET", hash, place)
if (lua.yes(line)) {
let id: lua.Value = lua.sub(line, 31)
redis.call("HDEL", hash, place)
size = (lua.num((lua.num(size) - 30)) - lua.num(lua.len(id)))
if (lua.yes(lua.eq(redis.call("HGET", hash, lua.concat("g", id)), lua.sub(line, 1, 8)))) {
let row: lua.Value = redis.call("HMGET", hash, lua.concat("s", id), lua.concat("n", id))
redis.call("HDEL", hash, lua.concat("s", id), lua.concat("n", id), lua.concat("g", id))
size = (lua.num((lua.num(size) - lua.num(lua.len(lua.or(lua.index(row, 1), () => ""))))) - lua.num(lua.len(lua.or(lua.index(row, 2), () => ""))))
}
}
}
redis.call("HSET", hash, "f", lua.format("%.0f", (lua.num(to) + 1)), "b", lua.format("%.0f", size), "y", lua.concat(lua.index(redis.ARGV, 3), lua.format("%014.0f%.0f", now, took)))
return (lua.num((lua.num(to) - lua.num(first))) + 1)
},
}
export default twin
