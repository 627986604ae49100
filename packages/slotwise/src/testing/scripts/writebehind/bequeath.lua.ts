// Generated from writebehind/bequeath.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/bequeath',
sha1: 'cdd3ece65d78aa1a63892e7ba6d9df4b703f2e64',
run(redis) {
let began: lua.Value = redis.call("HGET", lua.index(redis.KEYS, 1), "")
if ((lua.yes(began) && lua.yes(lua.ge(lua.tonumber(began), lua.tonumber(lua.index(redis.ARGV, 1)))))) {
return 0
}
if (lua.yes(lua.eq(lua.index(redis.ARGV, 2), ""))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "", lua.index(redis.ARGV, 1))
} else if (lua.yes(lua.eq(lua.index(redis.ARGV, 3), ""))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2))
} else {
redis.call("HSETNX", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 2), lua.index(redis.ARGV, 3))
}
return 1
},
}
export default twin
