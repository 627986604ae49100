// Generated from lock/show.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/show',
sha1: '4a03bcb053459bbcca588cdcc34d94cb9f610911',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "e", "f", "b", "q")
let left: lua.Value = (lua.num(lua.or(lua.tonumber(lua.index(saved, 2)), () => 0)) - lua.num(now))
let owner: lua.Value = ""
if ((lua.yes(lua.index(saved, 1)) && lua.yes(lua.gt(left, 0)))) {
owner = lua.index(saved, 1)
}
let line: lua.Value = lua.or(lua.index(saved, 5), () => "")
let waiting: lua.Value = 0
for (let at of lua.steps(23, lua.len(line), 35)) {
if (lua.yes(lua.gt(lua.tonumber(lua.sub(line, at, (lua.num(at) + 12))), now))) {
waiting = (lua.num(waiting) + 1)
}
}
let mark: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 2), "r", "s", "m", "p")
let quarantine: lua.Value = 0
if ((lua.yes(lua.index(mark, 1)) && lua.yes(lua.index(mark, 3)))) {
let replication: lua.Value = redis.call("INFO", "replication")
let since: lua.Value = lua.or(lua.tonumber(lua.index(mark, 2)), () => 0)
let same: lua.Value = lua.find(replication, lua.concat("master_replid:", lua.index(mark, 1)), 1, true)[0]
if ((!lua.yes(same) && lua.yes(lua.find(replication, lua.concat("master_replid2:", lua.rep("0", 40)), 1, true)[0]))) {
same = lua.find(redis.call("INFO", "server"), lua.concat("run_id:", lua.or(lua.index(mark, 4), () => "")), 1, true)[0]
}
if ((!lua.yes(same) || lua.yes(lua.gt(since, now)))) {
since = now
}
if (lua.yes(lua.gt(since, 0))) {
quarantine = lua.max(0, (lua.num((lua.num(since) + lua.num(lua.tonumber(lua.index(mark, 3))))) - lua.num(now)))
}
}
if (lua.yes(lua.eq(owner, ""))) {
{
const all: lua.Value[] = [0, false, false]
left = all[0]
lua.set(saved, 3, all[1])
lua.set(saved, 4, all[2])
}
}
return lua.table([owner, left, lua.or(lua.index(saved, 3), () => ""), lua.or(lua.index(saved, 4), () => ""), waiting, quarantine, now])
},
}
export default twin
