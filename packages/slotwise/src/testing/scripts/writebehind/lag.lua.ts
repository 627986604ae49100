// Generated from writebehind/lag.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/lag',
sha1: '61dbc7e27c6ca258507c09d361e88a221f9d7f32',
run(redis) {
let meta: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "f", "l", "b", "g")
let first: lua.Value = lua.tonumber(lua.or(lua.index(meta, 1), () => 1))
let last: lua.Value = lua.tonumber(lua.or(lua.index(meta, 2), () => 0))
let line: lua.Value = redis.call("HGET", lua.index(redis.KEYS, 1), lua.concat("j", lua.or(lua.index(meta, 4), () => lua.format("%.0f", first))))
let time: lua.Value = redis.call("TIME")
let age: lua.Value = 0
if ((lua.yes(line) && lua.yes(lua.le(first, last)))) {
age = (lua.num((lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))) - lua.num(lua.tonumber(lua.sub(line, 9, 22))))
}
return lua.table([first, last, lua.tonumber(lua.or(lua.index(meta, 3), () => 0)), lua.max(0, age)])
},
}
export default twin
