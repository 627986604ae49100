// Generated from lock/show.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/show',
sha1: '00b9967864825a06a64f524a9af7f3928e42939d',
run(redis) {
let time: lua.Value = redis.call("TIME")
let now: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000)) + lua.num(lua.floor((lua.num(lua.tonumber(lua.index(time, 2))) / 1000))))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
let owner: lua.Value = ""
let left: lua.Value = 0
let token: lua.Value = ""
let label: lua.Value = ""
let line: lua.Value = ""
if ((lua.yes(saved) && lua.yes(lua.tonumber(lua.sub(saved, 54, 57))))) {
let state: lua.Value = lua.sub(saved, 52, 52)
let from: lua.Value = (58 + lua.num(lua.tonumber(lua.sub(saved, 54, 57))))
left = (lua.num(lua.tonumber(lua.sub(saved, 23, 35))) - lua.num(now))
if (lua.yes(!lua.eq(state, "d"))) {
line = lua.sub(saved, from)
}
if ((lua.yes(lua.gt(left, 0)) && (lua.yes(lua.eq(state, "h")) || lua.yes(lua.eq(state, "c"))))) {
{
const all: lua.Value[] = [lua.sub(saved, 1, 22), lua.sub(saved, 58, (lua.num(from) - 1))]
owner = all[0]
label = all[1]
}
}
if ((lua.yes(lua.gt(left, 0)) && lua.yes(lua.eq(state, "h")))) {
token = lua.sub(saved, 36, 51)
}
}
let waiting: lua.Value = 0
for (let at of lua.steps(23, lua.len(line), 35)) {
if (lua.yes(lua.gt(lua.tonumber(lua.sub(line, at, (lua.num(at) + 12))), now))) {
waiting = (lua.num(waiting) + 1)
}
}
let mark: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 2), "r", "s", "m", "p", "c")
let quarantine: lua.Value = 0
if ((lua.yes(lua.index(mark, 1)) && lua.yes(lua.index(mark, 3)))) {
let replication: lua.Value = redis.call("INFO", "replication")
let since: lua.Value = lua.or(lua.tonumber(lua.index(mark, 2)), () => 0)
let same: lua.Value = lua.find(replication, lua.concat("master_replid:", lua.index(mark, 1)), 1, true)[0]
if ((!lua.yes(same) && lua.yes(lua.find(replication, lua.concat("master_replid2:", lua.rep("0", 40)), 1, true)[0]))) {
same = lua.find(redis.call("INFO", "server"), lua.concat("run_id:", lua.or(lua.index(mark, 4), () => "")), 1, true)[0]
}
if (((!lua.yes(same) || lua.yes(lua.gt(since, now))) || lua.yes(lua.gt(lua.tonumber(lua.index(redis.ARGV, 1)), lua.or(lua.tonumber(lua.index(mark, 5)), () => 0))))) {
since = now
}
if (lua.yes(lua.gt(since, 0))) {
quarantine = lua.max(0, (lua.num((lua.num(since) + lua.num(lua.tonumber(lua.index(mark, 3))))) - lua.num(now)))
}
}
if (lua.yes(lua.eq(owner, ""))) {
left = 0
}
return lua.table([owner, left, token, label, waiting, quarantine, now])
},
}
export default twin
