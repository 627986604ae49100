// Generated from invalidation/log/read.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'invalidation/log/read',
sha1: 'cc41a39a0f68b07598143ee72a772f42f09205c9',
run(redis) {
let after: lua.Value = lua.tonumber(lua.index(redis.ARGV, 1))
let last: lua.Value = lua.tonumber(lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), "n"), () => 0))
if (lua.yes(lua.lt(after, 0))) {
return lua.table([last, lua.or(redis.call("HGET", lua.index(redis.KEYS, 1), lua.concat("t", lua.format("%.0f", last))), () => "")])
}
let tag: lua.Value = lua.or(lua.and(lua.eq(after, 0), () => ""), () => redis.call("HGET", lua.index(redis.KEYS, 1), lua.concat("t", lua.format("%.0f", after))))
if ((lua.yes(!lua.eq(tag, lua.index(redis.ARGV, 2))) || lua.yes(lua.gt(after, last)))) {
return lua.table([-1])
}
let reply: lua.Value = lua.table([after, lua.index(redis.ARGV, 2)])
for (let number of lua.steps((lua.num(after) + 1), lua.min(last, (lua.num(after) + lua.num(lua.tonumber(lua.index(redis.ARGV, 3))))))) {
let field: lua.Value = lua.format("%.0f", number)
let found: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), lua.concat("e", field), lua.concat("t", field))
if (!lua.yes(lua.index(found, 1))) {
return lua.table([-1])
}
lua.set(reply, 1, number)
lua.set(reply, 2, lua.index(found, 2))
lua.set(reply, (lua.num(lua.len(reply)) + 1), lua.index(found, 1))
}
return reply
},
}
export default twin
