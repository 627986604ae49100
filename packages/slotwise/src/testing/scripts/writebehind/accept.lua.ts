// Generated from writebehind/accept.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/accept',
sha1: '2e6b5218c4cae20217599d037f72a33d84bcaf39',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let kind: lua.Value = lua.index(redis.ARGV, 1)
let id: lua.Value = lua.index(redis.ARGV, 2)
let tag: lua.Value = lua.index(redis.ARGV, 3)
let mark: lua.Value = lua.index(redis.ARGV, 11)
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
if (lua.yes(!lua.eq(mark, ""))) {
let known: lua.Value = redis.call("HGET", hash, lua.concat("m", mark))
if ((lua.yes(known) && lua.yes(lua.gt(lua.tonumber(lua.sub(known, 1, 14)), now)))) {
let at: lua.Value = lua.tonumber(lua.sub(known, 15, 28))
let ends: lua.Value = redis.call("HMGET", hash, "f", "l")
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "l", lua.or(lua.index(ends, 2), () => "0"))
return lua.table([1, at, lua.sub(known, 29), (lua.num((lua.num(at) - lua.num(lua.tonumber(lua.or(lua.index(ends, 1), () => 1))))) + 1)])
}
}
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "t", "b", lua.concat("s", id), lua.concat("n", id), lua.concat("g", id))
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let number: lua.Value = (lua.num(lua.tonumber(lua.or(lua.index(meta, 2), () => 0))) + 1)
let size: lua.Value = lua.tonumber(lua.or(lua.index(meta, 4), () => 0))
let state: lua.Value = lua.or(lua.index(meta, 5), () => "")
let counters: lua.Value = lua.or(lua.index(meta, 6), () => "")
let latest: lua.Value = lua.index(meta, 7)
const full: lua.Value = lua.fn(() => {
let removed: lua.Value = redis.call("HGET", hash, "y")
let oldest: lua.Value = redis.call("HGET", hash, lua.concat("j", lua.format("%.0f", first)))
if (((!lua.yes(removed) || lua.yes(lua.lt(lua.len(removed), 23))) || !lua.yes(oldest))) {
return [lua.table([0, (lua.num(number) - lua.num(first)), size, -1])]
}
let since: lua.Value = lua.max(lua.tonumber(lua.sub(removed, 9, 22)), lua.tonumber(lua.sub(oldest, 17, 30)))
return [lua.table([0, (lua.num(number) - lua.num(first)), size, lua.abs((lua.num(lua.tonumber(lua.sub(removed, 23))) - lua.num((lua.num(now) - lua.num(since)))))])]
return []
})
if ((lua.yes(lua.ge((lua.num(number) - lua.num(first)), lua.tonumber(lua.index(redis.ARGV, 9)))) || lua.yes(lua.ge(size, lua.tonumber(lua.index(redis.ARGV, 10)))))) {
return lua.invoke(full, [])[0]
}
let value: lua.Value = ""
let after: lua.Value = lua.concat(kind, lua.index(redis.ARGV, 4))
let counted: lua.Value = ""
if (lua.yes(lua.eq(kind, "i"))) {
let field: lua.Value = lua.index(redis.ARGV, 5)
let count: lua.Value = undefined
let at$2: lua.Value = 1
while (lua.yes(lua.le(at$2, lua.len(counters)))) {
let named: lua.Value = (lua.num(at$2) + lua.num(lua.byte(counters, at$2)))
let ends$2: lua.Value = (lua.num((lua.num(named) + 1)) + lua.num(lua.byte(counters, (lua.num(named) + 1))))
if (lua.yes(lua.eq(lua.sub(counters, (lua.num(at$2) + 1), named), field))) {
count = lua.sub(counters, (lua.num(named) + 2), ends$2)
} else {
counted = lua.concat(counted, lua.sub(counters, at$2, ends$2))
}
at$2 = (lua.num(ends$2) + 1)
}
after = state
if (!lua.yes(count)) {
let expected: lua.Value = lua.or(latest, () => lua.concat("y", lua.or(redis.call("HGET", hash, "y"), () => "")))
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 7), "")) || lua.yes(!lua.eq(lua.index(redis.ARGV, 8), expected)))) {
return lua.table([2, expected, state])
}
if (lua.yes(lua.gt(lua.len(counted), 4096))) {
return lua.table([4])
}
count = lua.index(redis.ARGV, 7)
after = lua.concat("s", lua.index(redis.ARGV, 4))
}
let sum: lua.Value = (lua.num(lua.tonumber(count)) + lua.num(lua.tonumber(lua.index(redis.ARGV, 6))))
if (lua.yes(lua.gt(lua.abs(sum), 9007199254740991))) {
return lua.table([3])
}
value = lua.format("%.0f", sum)
counted = lua.concat(counted, lua.concat(lua.char(lua.len(field)), lua.concat(field, lua.concat(lua.char(lua.len(value)), value))))
} else if (lua.yes(lua.eq(lua.index(redis.ARGV, 7), "idle"))) {
let letter: lua.Value = lua.or(redis.call("HGET", hash, lua.concat("x", id)), () => "")
if ((lua.yes(latest) || lua.yes(!lua.eq(lua.sub(letter, 15, 22), lua.index(redis.ARGV, 8))))) {
return lua.table([2, lua.or(latest, () => ""), state])
}
}
let line: lua.Value = lua.format("%.0f", number)
size = (lua.num((lua.num((lua.num((lua.num((lua.num((lua.num(size) + 30)) + lua.num(lua.len(id)))) + lua.num(lua.len(after)))) - lua.num(lua.len(state)))) + lua.num(lua.len(counted)))) - lua.num(lua.len(counters)))
if ((lua.yes(lua.gt(size, lua.tonumber(lua.index(redis.ARGV, 10)))) && lua.yes(lua.gt(number, first)))) {
size = lua.tonumber(lua.or(lua.index(meta, 4), () => 0))
return lua.invoke(full, [])[0]
}
let fields: lua.Value = lua.table(["l", line, "t", tag, "b", lua.format("%.0f", size), lua.concat("g", id), tag, lua.concat("j", line), lua.concat(tag, lua.concat(lua.or(lua.index(meta, 3), () => lua.rep("\u0000", 8)), lua.concat(lua.format("%014.0f", now), id)))])
const set: lua.Value = lua.fn((field$2: lua.Value, to: lua.Value) => {
lua.set(fields, (lua.num(lua.len(fields)) + 1), field$2)
lua.set(fields, (lua.num(lua.len(fields)) + 1), to)
return []
})
if (lua.yes(!lua.eq(after, state))) {
lua.invoke(set, [lua.concat("s", id), after])[0]
}
if (lua.yes(!lua.eq(counted, ""))) {
lua.invoke(set, [lua.concat("n", id), counted])[0]
}
if (!lua.yes(lua.index(meta, 1))) {
lua.invoke(set, ["f", "1"])[0]
}
redis.call("HSET", hash, ...lua.unpack(fields))
if ((lua.yes(lua.eq(counted, "")) && lua.yes(!lua.eq(counters, "")))) {
redis.call("HDEL", hash, lua.concat("n", id))
}
if ((lua.yes(!lua.eq(mark, "")) && lua.yes(lua.ge((lua.num(number) - lua.num(first)), lua.tonumber(lua.index(redis.ARGV, 13)))))) {
let ends$3: lua.Value = (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 12))))
let queue: lua.Value = redis.call("HMGET", hash, "qf", "ql")
let head: lua.Value = lua.tonumber(lua.or(lua.index(queue, 1), () => 1))
let tail: lua.Value = (lua.num(lua.tonumber(lua.or(lua.index(queue, 2), () => 0))) + 1)
redis.call("HSET", hash, lua.concat("m", mark), lua.concat(lua.format("%014.0f%014.0f", ends$3, number), value), lua.concat("q", lua.format("%.0f", tail)), mark, "ql", lua.format("%.0f", tail))
for (let _ of lua.steps(1, 2)) {
let place: lua.Value = lua.concat("q", lua.format("%.0f", head))
let oldest$2: lua.Value = redis.call("HGET", hash, place)
let answer: lua.Value = lua.and(oldest$2, () => redis.call("HGET", hash, lua.concat("m", oldest$2)))
if ((lua.yes(oldest$2) && (!lua.yes(answer) || lua.yes(lua.le(lua.tonumber(lua.sub(answer, 1, 14)), now))))) {
redis.call("HDEL", hash, place, lua.concat("m", oldest$2))
head = (lua.num(head) + 1)
}
}
redis.call("HSET", hash, "qf", lua.format("%.0f", head))
}
return lua.table([1, number, value, (lua.num((lua.num(number) - lua.num(first))) + 1)])
},
}
export default twin
