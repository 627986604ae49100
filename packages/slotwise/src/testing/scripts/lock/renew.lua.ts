// Generated from lock/renew.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/renew',
sha1: '3487e795abdf134f3d42c21617d97f0704fc2c50',
run(redis) {
if (lua.yes(!lua.eq(redis.call("HGET", lua.index(redis.KEYS, 1), "r"), lua.index(redis.ARGV, 1)))) {
return 0
}
let server: lua.Value = redis.call("INFO", "server")
let at: lua.Value = lua.find(server, "run_id:", 1, true)[0]
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "r", lua.sub(server, (lua.num(at) + 7), (lua.num(at) + 46)))
return 1
},
}
export default twin
