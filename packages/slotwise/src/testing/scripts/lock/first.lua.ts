// Generated from lock/first.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/first',
sha1: '12fcf9d712bf768ddf98cf20eeaa39125cbfd0a4',
run(redis) {
redis.call("PERSIST", lua.index(redis.KEYS, 1))
return redis.call("SETBIT", lua.index(redis.KEYS, 1), lua.index(redis.ARGV, 1), 1)
},
}
export default twin
