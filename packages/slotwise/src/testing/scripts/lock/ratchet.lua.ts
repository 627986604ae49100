// Generated from lock/ratchet.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/ratchet',
sha1: '78de6bc0badee0a797aafa1578bceecb62e53d55',
run(redis) {
const put: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS, 1), lua.index(ARGV, 2))
redis.call("SET", lua.index(KEYS, 1), lua.index(ARGV, 1), "PX", lua.index(ARGV, 2))
}
return []
})
let token: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (((!lua.yes(saved) || lua.yes(!lua.eq(lua.sub(saved, 1, 22), lua.index(redis.ARGV, 1)))) || lua.yes(!lua.eq(lua.sub(saved, 52, 52), "h")))) {
return -1
}
let left: lua.Value = (lua.num(lua.tonumber(lua.sub(saved, 23, 35))) - lua.num(now))
if (lua.yes(lua.le(left, 0))) {
return 0
}
if (lua.yes(lua.lt(lua.tonumber(lua.sub(saved, 36, 51)), token))) {
let record: lua.Value = lua.concat(lua.sub(saved, 1, 35), lua.concat(lua.format("%016.0f", token), lua.sub(saved, 52)))
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([record, lua.max(left, redis.call("PTTL", lua.index(redis.KEYS, 1)))])])[0]
}
if (lua.yes(lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)))) {
return 1
}
redis.call("HDEL", lua.index(redis.KEYS, 2), "w")
if (lua.yes(lua.lt(lua.or(lua.tonumber(redis.call("HGET", lua.index(redis.KEYS, 2), "h")), () => 0), token))) {
redis.call("HSET", lua.index(redis.KEYS, 2), "h", lua.index(redis.ARGV, 2))
}
return 1
},
}
export default twin
