// Generated from lock/permits/extend.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/permits/extend',
sha1: '82e18b5211b92fb3dfcd4958234d2a5a4a87a6b2',
run(redis) {
let RETAIN_MS: lua.Value = 60000
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "h")
let held: lua.Value = lua.or(lua.index(saved, 1), () => "")
let mine: lua.Value = lua.find(held, lua.index(redis.ARGV, 1), 1, true)[0]
if ((!lua.yes(mine) || lua.yes(lua.eq(lua.sub(held, (lua.num(mine) + 35), (lua.num(mine) + 50)), "0000000000000000")))) {
return -1
}
let before: lua.Value = lua.tonumber(lua.sub(held, (lua.num(mine) + 22), (lua.num(mine) + 34)))
if (lua.yes(lua.le(before, now))) {
return 0
}
if (lua.yes(lua.index(saved, 2))) {
ttl = (lua.num(ttl) + lua.num(RETAIN_MS))
}
let after: lua.Value = lua.max((lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2)))), lua.min(before, (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))))
let ends: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", after)), -13)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.max(ttl, redis.call("PTTL", lua.index(redis.KEYS, 1))))
redis.call("HSET", lua.index(redis.KEYS, 1), "o", lua.concat(lua.sub(held, 1, (lua.num(mine) + 21)), lua.concat(ends, lua.sub(held, (lua.num(mine) + 35)))))
return 1
},
}
export default twin
