// Generated from invalidation/tags/settle.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'invalidation/tags/settle',
sha1: 'a36e3107dbdf1d2c063ac6c64d2ed02a55b59c80',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let intent: lua.Value = lua.concat("w:", lua.index(redis.ARGV, 1))
let linger: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let latest: lua.Value = 0
if (lua.yes(lua.gt(linger, 0))) {
latest = (lua.num(now) + lua.num(linger))
}
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
if ((lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 2), "w:")) && lua.yes(!lua.eq(lua.index(fields, i), intent)))) {
let ends: lua.Value = lua.tonumber(lua.index(fields, (lua.num(i) + 1)))
if (lua.yes(lua.gt(ends, now))) {
latest = lua.max(latest, ends)
}
}
}
if (lua.yes(lua.eq(latest, 0))) {
redis.call("DEL", lua.index(redis.KEYS, 1))
return 1
}
if (lua.yes(lua.gt(linger, 0))) {
redis.call("HSET", lua.index(redis.KEYS, 1), intent, lua.format("%.0f", (lua.num(now) + lua.num(linger))))
} else {
redis.call("HDEL", lua.index(redis.KEYS, 1), intent)
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "v")
for (let i$2 of lua.steps(1, lua.len(fields), 2)) {
if (((lua.yes(lua.eq(lua.sub(lua.index(fields, i$2), 1, 2), "w:")) && lua.yes(!lua.eq(lua.index(fields, i$2), intent))) && lua.yes(lua.le(lua.tonumber(lua.index(fields, (lua.num(i$2) + 1))), now)))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.index(fields, i$2))
}
}
redis.call("HSET", lua.index(redis.KEYS, 1), "m", lua.format("%.0f", latest))
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.format("%.0f", (lua.num(latest) - lua.num(now))))
return 1
},
}
export default twin
