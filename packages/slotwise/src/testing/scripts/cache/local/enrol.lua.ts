// Generated from cache/local/enrol.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/local/enrol',
sha1: '3cd4dc08668efca0c2f53f1865123a7b7af69ed1',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
redis.call("HSET", lua.index(redis.KEYS, 1), lua.concat("e", lua.index(redis.ARGV, 1)), lua.format("%.0f", (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))), lua.concat("b", lua.index(redis.ARGV, 1)), lua.index(redis.ARGV, 2))
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
let process: lua.Value = lua.sub(lua.index(fields, i), 2)
if (((lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 1), "e")) && lua.yes(!lua.eq(process, lua.index(redis.ARGV, 1)))) && lua.yes(lua.le(lua.tonumber(lua.index(fields, (lua.num(i) + 1))), now)))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.concat("e", process), lua.concat("b", process))
}
}
if (lua.yes(lua.lt(redis.call("PTTL", lua.index(redis.KEYS, 1)), lua.tonumber(lua.index(redis.ARGV, 3))))) {
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 3))
}
return 1
},
}
export default twin
