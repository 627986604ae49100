// Generated from cache/shelf/take.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/shelf/take',
sha1: '01291adbaea8daa379fd9ac090c62a50c8bc81e6',
run(redis) {
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "v", "n")
if (!lua.yes(lua.index(saved, 1))) {
return false
}
redis.call("DEL", lua.index(redis.KEYS, 1))
if (lua.yes(lua.index(saved, 2))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), "")
}
return lua.index(saved, 1)
},
}
export default twin
