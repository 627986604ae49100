// Generated from ratelimit/decide.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/decide',
sha1: 'adf9e4162e0f1e392948a2f39eac20ded44cb9c8',
run(redis) {
let layout: lua.Value = lua.index(redis.ARGV, 1)
let plan: lua.Value = lua.index(redis.ARGV, 2)
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num((lua.num(lua.tonumber(lua.index(time, 1))) - 1704067200)) * 1000000)) + lua.num(lua.tonumber(lua.index(time, 2))))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
let known: lua.Value = lua.and(lua.and(saved, () => lua.eq(lua.len(saved), (8 + lua.num((lua.num(lua.len(plan)) / 2))))), () => lua.eq(lua.sub(saved, 1, 8), layout))
let admitted: lua.Value = 1
let taken: lua.Value = 0
let full: lua.Value = 0
let reply: lua.Value = lua.table([1])
let record: lua.Value = lua.table([layout])
for (let at of lua.steps(1, lua.len(plan), 16)) {
let [depth, cost]: lua.Value[] = [...lua.unpackStruct(">dd", plan, at)]
let arrival: lua.Value = now
if (lua.yes(known)) {
arrival = lua.unpackStruct(">d", saved, (8 + lua.num((lua.num((lua.num(at) + 1)) / 2))))[0]
if (lua.yes(lua.gt(arrival, (lua.num(now) + lua.num(depth))))) {
arrival = (lua.num(now) + lua.num(depth))
}
if (lua.yes(lua.lt(arrival, now))) {
arrival = now
}
}
let after: lua.Value = (lua.num(arrival) + lua.num(cost))
if (lua.yes(lua.lt(after, now))) {
after = now
}
if ((lua.yes(lua.gt(cost, 0)) && lua.yes(lua.gt((lua.num(after) - lua.num(now)), depth)))) {
admitted = 0
}
if (lua.yes(lua.gt(after, full))) {
full = after
}
if (lua.yes(!lua.eq(cost, 0))) {
taken = 1
}
lua.set(reply, (lua.num(lua.len(reply)) + 1), (lua.num(after) - lua.num(now)))
lua.set(record, (lua.num(lua.len(record)) + 1), lua.pack(">d", after))
}
if (lua.yes(lua.eq(admitted, 0))) {
lua.set(reply, 1, 0)
for (let at$2 of lua.steps(1, lua.len(plan), 16)) {
let [_, cost$2]: lua.Value[] = [...lua.unpackStruct(">dd", plan, at$2)]
let bucket: lua.Value = (lua.num((lua.num((lua.num(at$2) + 15)) / 16)) + 1)
lua.set(reply, bucket, (lua.num(lua.index(reply, bucket)) - lua.num(cost$2)))
}
} else if (lua.yes(lua.gt(taken, 0))) {
redis.call("SET", lua.index(redis.KEYS, 1), lua.join(record), "PX", lua.max(1, lua.ceil((lua.num((lua.num(full) - lua.num(now))) / 1000))))
}
return reply
},
}
export default twin
