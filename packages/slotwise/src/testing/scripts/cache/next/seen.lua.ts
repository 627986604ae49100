// Generated from cache/next/seen.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/next/seen',
sha1: '280300c80616d501ce9291a603168c9ffde42c14',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "c", lua.concat("g:", lua.index(redis.ARGV, 1)))
let current: lua.Value = 0
let left: lua.Value = 0
let since: lua.Value = -1
if (lua.yes(lua.eq(lua.index(saved, 1), lua.index(redis.ARGV, 1)))) {
current = 1
}
if (lua.yes(lua.index(saved, 3))) {
left = lua.max(0, (lua.num(lua.tonumber(lua.index(saved, 3))) - lua.num(now)))
}
if (lua.yes(lua.index(saved, 2))) {
since = lua.max(0, (lua.num(now) - lua.num(lua.tonumber(lua.index(saved, 2)))))
}
return lua.table([current, left, since])
},
}
export default twin
