// Generated from cache/next/stamp.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/stamp',
sha1: '474f4d7988f5caad410c5bc31745c5faabe1bd35',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "c", "h", "i")
let version: lua.Value = lua.index(saved, 1)
let ended: lua.Value = -1
let changed: lua.Value = -1
if (!lua.yes(version)) {
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 1))
version = lua.index(redis.ARGV, 1)
}
if (lua.yes(lua.lt(redis.call("PTTL", lua.index(redis.KEYS, 1)), lua.tonumber(lua.index(redis.ARGV, 3))))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 3))
}
if (lua.yes(lua.index(saved, 3))) {
ended = lua.max(0, (lua.num(now) - lua.num(lua.tonumber(lua.index(saved, 3)))))
}
if (lua.yes(lua.index(saved, 2))) {
changed = lua.max(0, (lua.num(now) - lua.num(lua.tonumber(lua.index(saved, 2)))))
}
let former: lua.Value = version
if ((lua.yes(lua.ge(changed, 0)) && lua.yes(lua.le(changed, lua.tonumber(lua.index(redis.ARGV, 2)))))) {
let first: lua.Value = (lua.num(now) + 1)
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
if (lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 2), "t:"))) {
let at: lua.Value = lua.tonumber(lua.index(fields, (lua.num(i) + 1)))
if ((lua.yes(lua.ge(at, (lua.num(now) - lua.num(lua.tonumber(lua.index(redis.ARGV, 2)))))) && lua.yes(lua.lt(at, first)))) {
first = at
former = lua.sub(lua.index(fields, i), 3)
}
}
}
}
return lua.table([version, ended, changed, former, lua.or(lua.index(saved, 4), () => "")])
},
}
export default twin
