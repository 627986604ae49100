// Generated from writebehind/accept.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/accept',
sha1: '27f9144e4d2dfd2c5f4abfdd1de53933bf2e7d98',
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
return lua.table([1, lua.tonumber(lua.sub(known, 15, 28)), lua.sub(known, 29)])
}
}
let meta: lua.Value = redis.call("HMGET", hash, "f", "l", "t", "b")
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let number: lua.Value = (lua.num(lua.tonumber(lua.or(lua.index(meta, 2), () => 0))) + 1)
let size: lua.Value = lua.tonumber(lua.or(lua.index(meta, 4), () => 0))
if ((lua.yes(lua.ge((lua.num(number) - lua.num(first)), lua.tonumber(lua.index(redis.ARGV, 9)))) || lua.yes(lua.ge(size, lua.tonumber(lua.index(redis.ARGV, 10)))))) {
return lua.table([0, (lua.num(number) - lua.num(first)), size])
}
let row: lua.Value = redis.call("HMGET", hash, lua.concat("s", id), lua.concat("n", id), lua.concat("g", id))
let state: lua.Value = lua.index(row, 1)
let names: lua.Value = lua.or(lua.index(row, 2), () => "")
let value: lua.Value = ""
let written: lua.Value = lua.table([])
if (lua.yes(lua.eq(kind, "i"))) {
let field: lua.Value = lua.concat(lua.char(lua.len(lua.index(redis.ARGV, 5))), lua.index(redis.ARGV, 5))
let counter: lua.Value = lua.concat("c", lua.concat(field, id))
let count: lua.Value = redis.call("HGET", hash, counter)
if (!lua.yes(count)) {
let expected: lua.Value = lua.or(lua.index(row, 3), () => lua.concat("y", lua.or(redis.call("HGET", hash, "y"), () => "")))
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 7), "")) || lua.yes(!lua.eq(lua.index(redis.ARGV, 8), expected)))) {
return lua.table([2, expected, lua.or(state, () => "")])
}
count = lua.index(redis.ARGV, 7)
names = lua.concat(names, field)
if (lua.yes(lua.gt(lua.len(names), 4096))) {
return lua.table([4])
}
if (lua.yes(!lua.eq(state, lua.concat("s", lua.index(redis.ARGV, 4))))) {
written = lua.table([lua.concat("s", id), lua.concat("s", lua.index(redis.ARGV, 4))])
size = (lua.num((lua.num((lua.num(size) + lua.num(lua.len(lua.index(redis.ARGV, 4))))) + 1)) - lua.num(lua.len(lua.or(state, () => ""))))
}
size = (lua.num(size) + lua.num((2 * lua.num(lua.len(field)))))
lua.set(written, (lua.num(lua.len(written)) + 1), lua.concat("n", id))
lua.set(written, (lua.num(lua.len(written)) + 1), names)
}
let sum: lua.Value = (lua.num(lua.tonumber(count)) + lua.num(lua.tonumber(lua.index(redis.ARGV, 6))))
if (lua.yes(lua.gt(lua.abs(sum), 9007199254740991))) {
return lua.table([3])
}
value = lua.format("%.0f", sum)
lua.set(written, (lua.num(lua.len(written)) + 1), counter)
lua.set(written, (lua.num(lua.len(written)) + 1), value)
} else {
if ((lua.yes(lua.eq(lua.index(redis.ARGV, 7), "idle")) && lua.yes(lua.index(row, 3)))) {
return lua.table([2, lua.index(row, 3), lua.or(state, () => "")])
}
let at: lua.Value = 1
while (lua.yes(lua.le(at, lua.len(names)))) {
let upTo: lua.Value = (lua.num(at) + lua.num(lua.byte(names, at)))
redis.call("HDEL", hash, lua.concat("c", lua.concat(lua.sub(names, at, upTo), id)))
size = (lua.num(size) - lua.num((2 * lua.num((lua.num((lua.num(upTo) - lua.num(at))) + 1)))))
at = (lua.num(upTo) + 1)
}
if (lua.yes(!lua.eq(names, ""))) {
redis.call("HDEL", hash, lua.concat("n", id))
}
written = lua.table([lua.concat("s", id), lua.concat(kind, lua.index(redis.ARGV, 4))])
size = (lua.num((lua.num((lua.num(size) + lua.num(lua.len(lua.index(redis.ARGV, 4))))) + 1)) - lua.num(lua.len(lua.or(state, () => ""))))
}
let line: lua.Value = lua.format("%.0f", number)
size = (lua.num((lua.num(size) + 30)) + lua.num(lua.len(id)))
redis.call("HSET", hash, "l", line, "t", tag, "b", lua.format("%.0f", size), lua.concat("g", id), tag, lua.concat("j", line), lua.concat(tag, lua.concat(lua.or(lua.index(meta, 3), () => lua.rep("\u0000", 8)), lua.concat(lua.format("%014.0f", now), id))), ...lua.unpack(written))
if (!lua.yes(lua.index(meta, 1))) {
redis.call("HSET", hash, "f", "1")
}
if (lua.yes(!lua.eq(mark, ""))) {
let ends: lua.Value = (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 12))))
let queue: lua.Value = redis.call("HMGET", hash, "qf", "ql")
let head: lua.Value = lua.tonumber(lua.or(lua.index(queue, 1), () => 1))
let tail: lua.Value = (lua.num(lua.tonumber(lua.or(lua.index(queue, 2), () => 0))) + 1)
redis.call("HSET", hash, lua.concat("m", mark), lua.concat(lua.format("%014.0f%014.0f", ends, number), value), lua.concat("q", lua.format("%.0f", tail)), mark, "ql", lua.format("%.0f", tail))
for (let _ of lua.steps(1, 2)) {
let place: lua.Value = lua.concat("q", lua.format("%.0f", head))
let oldest: lua.Value = redis.call("HGET", hash, place)
let answer: lua.Value = lua.and(oldest, () => redis.call("HGET", hash, lua.concat("m", oldest)))
if ((lua.yes(oldest) && (!lua.yes(answer) || lua.yes(lua.le(lua.tonumber(lua.sub(answer, 1, 14)), now))))) {
redis.call("HDEL", hash, place, lua.concat("m", oldest))
head = (lua.num(head) + 1)
}
}
redis.call("HSET", hash, "qf", lua.format("%.0f", head))
}
return lua.table([1, number, value])
},
}
export default twin
