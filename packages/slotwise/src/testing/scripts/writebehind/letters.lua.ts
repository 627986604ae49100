// Generated from writebehind/letters.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'writebehind/letters',
sha1: 'c55205d6172a599ee61e00711a8ee77a55da9f1d',
run(redis) {
let hash: lua.Value = lua.index(redis.KEYS, 1)
let count: lua.Value = lua.tonumber(lua.or(redis.call("HGET", hash, "c"), () => 0))
let from: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
if ((lua.yes(lua.eq(from, 0)) || lua.yes(lua.gt(from, count)))) {
from = count
}
let upTo: lua.Value = lua.max(1, (lua.num((lua.num(from) - lua.num(lua.tonumber(lua.index(redis.ARGV, 2))))) + 1))
let reply: lua.Value = lua.table([(lua.num(upTo) - 1)])
for (let place of lua.steps(from, upTo, -1)) {
let id: lua.Value = lua.or(redis.call("HGET", hash, lua.concat("i", lua.format("%.0f", place))), () => "")
let letter: lua.Value = redis.call("HGET", hash, lua.concat("x", id))
if (lua.yes(letter)) {
lua.set(reply, (lua.num(lua.len(reply)) + 1), lua.table([id, lua.sub(letter, 15, 22), lua.sub(letter, 23)]))
}
}
return reply
},
}
export default twin
