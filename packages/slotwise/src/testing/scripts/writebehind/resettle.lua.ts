// Generated from writebehind/resettle.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/resettle',
sha1: '8a143e072d53281537cd3a6c910a7f16b3e37ccc',
run(redis) {
let was: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "partitions", "changes", "moving", "former")
let now: lua.Value = lua.concat(lua.or(lua.index(was, 1), () => ""), lua.concat("/", lua.concat(lua.or(lua.index(was, 2), () => "0"), lua.concat("/", lua.concat(lua.or(lua.index(was, 3), () => ""), lua.concat("/", lua.or(lua.index(was, 4), () => "")))))))
let wanted: lua.Value = lua.concat(lua.index(redis.ARGV, 2), lua.concat("/", lua.concat(lua.index(redis.ARGV, 3), lua.concat("/", lua.concat(lua.index(redis.ARGV, 4), lua.concat("/", lua.index(redis.ARGV, 5)))))))
if (lua.yes(lua.eq(now, wanted))) {
return 1
}
if (lua.yes(!lua.eq(now, lua.index(redis.ARGV, 1)))) {
return 0
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "partitions", lua.index(redis.ARGV, 2), "changes", lua.index(redis.ARGV, 3), "moving", lua.index(redis.ARGV, 4), "former", lua.index(redis.ARGV, 5))
return 1
},
}
export default twin
