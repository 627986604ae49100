// Generated from lock/renew.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/renew',
sha1: '85e09bc6315c88ec55e758523ae80eda3c02ff6e',
run(redis) {
let mark: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "r", "p")
if ((!lua.yes(lua.index(mark, 1)) || (lua.yes(!lua.eq(lua.index(mark, 1), lua.index(redis.ARGV, 1))) && lua.yes(!lua.eq(lua.index(mark, 2), lua.index(redis.ARGV, 2)))))) {
return 0
}
let replication: lua.Value = redis.call("INFO", "replication")
let at: lua.Value = lua.find(replication, "master_replid:", 1, true)[0]
let reign: lua.Value = lua.sub(replication, (lua.num(at) + 14), (lua.num(at) + 53))
if ((lua.yes(!lua.eq(lua.index(redis.ARGV, 3), "")) && lua.yes(!lua.eq(lua.index(redis.ARGV, 3), reign)))) {
return 0
}
let server: lua.Value = redis.call("INFO", "server")
at = lua.find(server, "run_id:", 1, true)[0]
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "r", reign, "p", lua.sub(server, (lua.num(at) + 7), (lua.num(at) + 46)))
return 1
},
}
export default twin
