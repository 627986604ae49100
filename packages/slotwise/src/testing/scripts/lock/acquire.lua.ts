// Generated from lock/acquire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/acquire',
sha1: '2b38d316ba3c5dc5d76ef7037a65560ed1a87af8',
run(redis) {
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let seconds: lua.Value = lua.tonumber(lua.index(time, 1))
let micros: lua.Value = lua.tonumber(lua.index(time, 2))
let now: lua.Value = (lua.num((lua.num(seconds) * 1000)) + lua.num(lua.floor((lua.num(micros) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f")
let ends: lua.Value = lua.tonumber(lua.index(saved, 2))
let token: lua.Value = lua.or(lua.tonumber(lua.index(saved, 3)), () => 0)
if ((lua.yes(lua.index(saved, 1)) && lua.yes(lua.gt(ends, now)))) {
if (lua.yes(lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
return lua.table([1, lua.index(saved, 3), (lua.num(ends) - lua.num(now))])
}
return lua.table([0, lua.index(saved, 3), (lua.num(ends) - lua.num(now))])
}
token = lua.max((lua.num(token) + 1), (lua.num((lua.num(seconds) * 1000000)) + lua.num(micros)))
let text: lua.Value = lua.format("%.0f", token)
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "o", lua.index(redis.ARGV, 1), "e", lua.format("%.0f", (lua.num(now) + lua.num(ttl))), "f", text)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), (lua.num(ttl) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3)))))
return lua.table([1, text, ttl])
},
}
export default twin
