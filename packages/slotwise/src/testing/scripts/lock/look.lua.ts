// Generated from lock/look.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/look',
sha1: 'b07c4ab486a4f15f476378b0b1a45adae1adb78d',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f", "b", "v")
let left: lua.Value = (lua.num(lua.or(lua.tonumber(lua.index(saved, 2)), () => 0)) - lua.num(now))
if ((lua.yes(lua.le(left, 0)) || !lua.yes(lua.index(saved, 3)))) {
return lua.table([0])
}
if (lua.yes(lua.index(saved, 5))) {
return lua.table([2, lua.index(saved, 3), left, lua.index(saved, 5)])
}
return lua.table([1, lua.index(saved, 3), left, lua.or(lua.index(saved, 4), () => "")])
},
}
export default twin
