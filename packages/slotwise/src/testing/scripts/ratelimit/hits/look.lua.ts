// Generated from ratelimit/hits/look.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'ratelimit/hits/look',
sha1: '1f0934c7016833b17012b6865b2e595359166c3f',
run(redis) {
let hits: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
if (!lua.yes(hits)) {
return lua.table([0, 0])
}
return lua.table([lua.tonumber(hits), lua.max(0, redis.call("PTTL", lua.index(redis.KEYS, 1)))])
},
}
export default twin
