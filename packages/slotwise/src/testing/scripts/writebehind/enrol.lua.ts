// Generated from writebehind/enrol.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/enrol',
sha1: '1229df709f50d2b28b6bae15a8ebf59af4b031db',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
if (lua.yes(!lua.eq(lua.index(redis.ARGV, 2), "0"))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1), lua.format("%.0f", (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2))))))
}
let count: lua.Value = 0
let gone: lua.Value = lua.table([])
let members: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(members), 2)) {
if ((lua.yes(lua.le(lua.tonumber(lua.index(members, (lua.num(i) + 1))), now)) || (lua.yes(lua.eq(lua.index(redis.ARGV, 2), "0")) && lua.yes(lua.eq(lua.index(members, i), lua.index(redis.ARGV, 1)))))) {
lua.set(gone, (lua.num(lua.len(gone)) + 1), lua.index(members, i))
} else {
count = (lua.num(count) + 1)
}
}
if (lua.yes(lua.gt(lua.len(gone), 0))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), ...lua.unpack(gone))
}
return count
},
}
export default twin
