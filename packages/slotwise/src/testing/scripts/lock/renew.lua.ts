// Generated from lock/renew.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/renew',
sha1: '0d452e71e8fba647e9c376fd84a1600efdc38bce',
run(redis) {
if (lua.yes(!lua.eq(redis.call("HGET", lua.index(redis.KEYS, 1), "r"), lua.index(redis.ARGV, 1)))) {
return 0
}
let server: lua.Value = redis.call("INFO", "server")
let at: lua.Value = lua.find(server, "run_id:", 1, true)[0]
let run: lua.Value = lua.sub(server, (lua.num(at) + 7), (lua.num(at) + 46))
if ((lua.yes(!lua.eq(lua.index(redis.ARGV, 2), "")) && lua.yes(!lua.eq(lua.index(redis.ARGV, 2), run)))) {
return 0
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "r", run)
return 1
},
}
export default twin
