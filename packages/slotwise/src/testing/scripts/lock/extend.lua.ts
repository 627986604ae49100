// Generated from lock/extend.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/extend',
sha1: '18adc94a4ff0a2e3add8a180dff6531234a540ca',
run(redis) {
let RETAIN_MS: lua.Value = 60000
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f", "h")
if ((lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1))) || !lua.yes(lua.index(saved, 3)))) {
return -1
}
if (lua.yes(lua.le(lua.tonumber(lua.index(saved, 2)), now))) {
return 0
}
if (lua.yes(lua.index(saved, 4))) {
ttl = (lua.num(ttl) + lua.num(RETAIN_MS))
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.max(ttl, redis.call("PTTL", lua.index(redis.KEYS, 1))))
let ends: lua.Value = lua.max((lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2)))), lua.min(lua.tonumber(lua.index(saved, 2)), (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))))
redis.call("HSET", lua.index(redis.KEYS, 1), "e", lua.format("%.0f", ends))
return 1
},
}
export default twin
