// Generated from invalidation/tags/intend.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'invalidation/tags/intend',
sha1: '830790b2900f93115bfe02915f94af035f28c887',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let ends: lua.Value = (lua.num(now) + lua.num(lua.tonumber(lua.index(redis.ARGV, 2))))
let intent: lua.Value = lua.concat("w:", lua.index(redis.ARGV, 1))
let latest: lua.Value = lua.max(ends, lua.tonumber(lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), "m"), () => 0)))
redis.call("HDEL", lua.index(redis.KEYS, 1), intent)
redis.call("HSET", lua.index(redis.KEYS, 1), intent, lua.format("%.0f", ends), "m", lua.format("%.0f", latest))
redis.call("HDEL", lua.index(redis.KEYS, 1), "v")
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.format("%.0f", (lua.num(latest) - lua.num(now))))
return 1
},
}
export default twin
