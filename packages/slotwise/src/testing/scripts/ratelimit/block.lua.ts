// Generated from ratelimit/block.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/block',
sha1: '355b70018062dfe701fc7622a09eaa510989c8ea',
run(redis) {
let empty: lua.Value = lua.index(redis.ARGV, 1)
let ms: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num((lua.num(lua.index(time, 1)) * 1000000)) + lua.num(lua.index(time, 2)))) - 1704067200000000)
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
let ttl: lua.Value = 0
let age: lua.Value = 0
if (((lua.yes(saved) && lua.yes(lua.ge(lua.len(saved), lua.len(empty)))) && lua.yes(lua.eq(lua.sub(saved, 1, 4), lua.sub(empty, 1, 4))))) {
ttl = redis.call("PTTL", lua.index(redis.KEYS, 1))
let [_, written]: lua.Value[] = [...lua.unpackStruct(">I4d", saved)]
age = (lua.num(now) - lua.num(written))
} else if (lua.yes(lua.eq(ms, 0))) {
return 1
} else {
saved = lua.concat(lua.sub(empty, 1, 4), lua.concat(lua.pack(">d", now), lua.sub(empty, 13)))
}
let record: lua.Value = lua.sub(saved, 1, lua.len(empty))
let rest: lua.Value = lua.sub(saved, (lua.num(lua.len(empty)) + 1))
let isBlocked: lua.Value = lua.eq(lua.sub(rest, 9, 16), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000")
if (lua.yes(isBlocked)) {
rest = lua.sub(rest, 17)
}
if ((lua.yes(lua.eq(ms, 0)) && !lua.yes(isBlocked))) {
return 1
}
if (lua.yes(lua.lt(age, 0))) {
let ends: lua.Value = lua.table([])
for (let entry of lua.steps(1, lua.len(rest), 16)) {
lua.set(ends, (lua.num(lua.len(ends)) + 1), lua.concat(lua.pack(">d", (lua.num(lua.unpackStruct(">d", rest, entry)[0]) + lua.num(age))), lua.sub(rest, (lua.num(entry) + 8), (lua.num(entry) + 15))))
}
{
const all: lua.Value[] = [lua.concat(lua.sub(record, 1, 4), lua.concat(lua.pack(">d", now), lua.sub(record, 13))), lua.join(ends)]
record = all[0]
rest = all[1]
}
}
let block: lua.Value = lua.or(lua.and(lua.gt(ms, 0), () => lua.concat(lua.pack(">d", (lua.num(now) + lua.num((lua.num(ms) * 1000)))), "\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000")), () => "")
redis.call("SET", lua.index(redis.KEYS, 1), lua.concat(record, lua.concat(block, rest)), "PX", lua.max(1, ttl, ms))
return 1
},
}
export default twin
