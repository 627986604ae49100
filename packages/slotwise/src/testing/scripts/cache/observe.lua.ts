// Generated from cache/observe.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/observe',
sha1: '9f29f4989836f12c5820dbae37075849869b33f4',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "x", "r", "m")
let lives: lua.Value = redis.call("PTTL", lua.index(redis.KEYS, 1))
let left: lua.Value = (lua.num(lives) - lua.num(lua.or(lua.tonumber(lua.index(saved, 2)), () => 0)))
if ((lua.yes(lua.index(saved, 1)) && lua.yes(lua.gt(left, 0)))) {
return lua.table([0, lua.index(saved, 1), left])
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let written: lua.Value = lua.tonumber(lua.index(saved, 4))
if ((lua.yes(written) && lua.yes(lua.lt(now, written)))) {
return lua.table([2])
}
let mark: lua.Value = lua.or(lua.index(saved, 3), () => lua.index(redis.ARGV, 1))
if (!lua.yes(lua.index(saved, 3))) {
let reply: lua.Value = redis.pcall("HSET", lua.index(redis.KEYS, 1), "r", mark)
if ((lua.yes(lua.eq(lua.type(reply), "table")) && lua.yes(lua.index(reply, "err")))) {
return lua.table([2])
}
}
if (lua.yes(lua.index(saved, 1))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v", "x")
}
if (lua.yes(lua.lt(lives, lua.tonumber(lua.index(redis.ARGV, 2))))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
}
return lua.table([1, mark])
},
}
export default twin
