// Generated from lock/fenced-set.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/fenced-set',
sha1: 'c004cff7b1aacb8c4b2d95f9369f8229ce3967d3',
run(redis) {
let seen: lua.Value = redis.call("HGET", lua.index(redis.KEYS, 1), "t")
if ((lua.yes(seen) && lua.yes(lua.gt(lua.tonumber(seen), lua.tonumber(lua.index(redis.ARGV, 1)))))) {
return seen
}
if (lua.yes(lua.eq(lua.index(redis.ARGV, 3), "1"))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "v")
}
redis.call("HSET", lua.index(redis.KEYS, 1), "t", lua.index(redis.ARGV, 1))
if (lua.yes(!lua.eq(lua.index(redis.ARGV, 3), "1"))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "v", lua.index(redis.ARGV, 2))
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 4))
return lua.index(redis.ARGV, 1)
},
}
export default twin
