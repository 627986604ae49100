// Generated from lock/ratchet.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/ratchet',
sha1: '3743a74a3c03a7f2aefbc6f9da0b5f8f8c5e62dd',
run(redis) {
let token: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f")
if ((lua.yes(!lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1))) || !lua.yes(lua.index(saved, 3)))) {
return -1
}
if (lua.yes(lua.le(lua.tonumber(lua.index(saved, 2)), now))) {
return 0
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
if (lua.yes(lua.lt(lua.tonumber(lua.index(saved, 3)), token))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "f", lua.index(redis.ARGV, 2))
}
if (lua.yes(lua.lt(lua.or(lua.tonumber(redis.call("HGET", lua.index(redis.KEYS, 2), "h")), () => 0), token))) {
redis.call("HSET", lua.index(redis.KEYS, 2), "h", lua.index(redis.ARGV, 2))
}
return 1
},
}
export default twin
