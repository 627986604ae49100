// Generated from lock/look.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/look',
sha1: 'cf135360c2107955c4ff24466b14dae5773ad1f9',
run(redis) {
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (!lua.yes(saved)) {
return lua.table([0])
}
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let left: lua.Value = (lua.num(lua.tonumber(lua.sub(saved, 23, 35))) - lua.num(now))
let token: lua.Value = lua.sub(saved, 36, 51)
let state: lua.Value = lua.sub(saved, 52, 52)
if ((lua.yes(lua.le(left, 0)) || (lua.yes(!lua.eq(state, "h")) && lua.yes(!lua.eq(state, "d"))))) {
return lua.table([0])
}
let from: lua.Value = (58 + lua.num(lua.tonumber(lua.sub(saved, 54, 57))))
if (lua.yes(lua.eq(state, "d"))) {
return lua.table([2, token, left, lua.sub(saved, from)])
}
return lua.table([1, token, left, lua.sub(saved, 58, (lua.num(from) - 1))])
},
}
export default twin
