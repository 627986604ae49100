// Generated from invalidation/log/append.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'invalidation/log/append',
sha1: '71729bbdea5e7a1b74607ac0f76b752f40fe5db5',
run(redis) {
let number: lua.Value = redis.call("HINCRBY", lua.index(redis.KEYS, 1), "n", 1)
let old: lua.Value = (lua.num(number) - lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))
redis.call("HSET", lua.index(redis.KEYS, 1), lua.concat("e", lua.format("%.0f", number)), lua.index(redis.ARGV, 2), lua.concat("t", lua.format("%.0f", number)), lua.index(redis.ARGV, 1))
redis.call("HDEL", lua.index(redis.KEYS, 1), lua.concat("e", lua.format("%.0f", old)), lua.concat("t", lua.format("%.0f", old)))
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 4))
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
return number
},
}
export default twin
