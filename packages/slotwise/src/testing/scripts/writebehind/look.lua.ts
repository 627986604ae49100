// Generated from writebehind/look.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/look',
sha1: 'f880c87ce4c4dbb6c03943b7347feb73b02fbc4f',
run(redis) {
let row: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), lua.concat("s", lua.index(redis.ARGV, 1)), lua.concat("n", lua.index(redis.ARGV, 1)))
let told: lua.Value = lua.table([lua.or(lua.index(row, 1), () => "")])
let names: lua.Value = lua.or(lua.index(row, 2), () => "")
let at: lua.Value = 1
while (lua.yes(lua.le(at, lua.len(names)))) {
let upTo: lua.Value = (lua.num(at) + lua.num(lua.byte(names, at)))
lua.set(told, (lua.num(lua.len(told)) + 1), lua.sub(names, (lua.num(at) + 1), upTo))
lua.set(told, (lua.num(lua.len(told)) + 1), lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), lua.concat("c", lua.concat(lua.sub(names, at, upTo), lua.index(redis.ARGV, 1)))), () => ""))
at = (lua.num(upTo) + 1)
}
return told
},
}
export default twin
