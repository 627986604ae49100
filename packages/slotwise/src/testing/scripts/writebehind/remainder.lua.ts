// Generated from writebehind/remainder.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/remainder',
sha1: '93decedec89fd39a554b0bfcd34dfb13bf27dc37',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let meta: lua.Value = redis.call("HMGET", hash, "p", "f", "l", "b", "qf", "ql")
let head: lua.Value = lua.tonumber(lua.or(lua.index(meta, 5), () => 1))
let tail: lua.Value = lua.tonumber(lua.or(lua.index(meta, 6), () => 0))
let lines: lua.Value = (lua.num((lua.num(lua.tonumber(lua.or(lua.index(meta, 3), () => 0))) - lua.num(lua.tonumber(lua.or(lua.index(meta, 2), () => 1))))) + 1)
let wait: lua.Value = 0
if (lua.yes(lua.eq(lua.sub(lua.or(lua.index(meta, 1), () => ""), 1, 1), ">"))) {
for (let _ of lua.steps(1, lua.min(1000, (lua.num((lua.num(tail) - lua.num(head))) + 1)))) {
let place: lua.Value = lua.concat("q", lua.format("%.0f", head))
let mark: lua.Value = redis.call("HGET", hash, place)
let answer: lua.Value = lua.and(mark, () => redis.call("HGET", hash, lua.concat("m", mark)))
wait = 0
if (lua.yes(answer)) {
wait = (lua.num(lua.tonumber(lua.sub(answer, 1, 14))) - lua.num(now))
}
if (lua.yes(lua.gt(wait, 0))) {
break
}
if (lua.yes(mark)) {
redis.call("HDEL", hash, place, lua.concat("m", mark))
}
head = (lua.num(head) + 1)
}
if (lua.yes(!lua.eq(head, lua.tonumber(lua.or(lua.index(meta, 5), () => 1))))) {
redis.call("HDEL", hash, "w")
redis.call("HSET", hash, "qf", lua.format("%.0f", head))
}
}
return lua.table([lua.or(lua.index(meta, 1), () => ""), lines, lua.tonumber(lua.or(lua.index(meta, 4), () => 0)), lua.max(0, (lua.num((lua.num(tail) - lua.num(head))) + 1)), lua.max(0, wait)])
},
}
export default twin
