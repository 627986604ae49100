// Generated from cache/local/readers.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'cache/local/readers',
sha1: 'c54d4259b3104e4b899538d69f3fd3b44f0a06a9',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let found: lua.Value = lua.table([])
let fields: lua.Value = redis.call("HGETALL", lua.index(redis.KEYS, 1))
for (let i of lua.steps(1, lua.len(fields), 2)) {
if ((lua.yes(lua.eq(lua.sub(lua.index(fields, i), 1, 1), "e")) && lua.yes(lua.gt(lua.tonumber(lua.index(fields, (lua.num(i) + 1))), now)))) {
let process: lua.Value = lua.sub(lua.index(fields, i), 2)
lua.set(found, (lua.num(lua.len(found)) + 1), process)
lua.set(found, (lua.num(lua.len(found)) + 1), redis.call("HGET", lua.index(redis.KEYS, 1), lua.concat("b", process)))
}
}
return found
},
}
export default twin
