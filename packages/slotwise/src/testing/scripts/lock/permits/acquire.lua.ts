// Generated from lock/permits/acquire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/permits/acquire',
sha1: 'ad447da408437449aeeb2d505772c9f1f58d1507',
run(redis) {
const marker: lua.Value = lua.fn((KEYS: lua.Value, ARGV: lua.Value) => {
let TOLD_MS: lua.Value = 3600000
let longest: lua.Value = lua.index(ARGV, 1)
let least: lua.Value = lua.index(ARGV, 2)
let clock: lua.Value = lua.index(ARGV, 3)
let looked: lua.Value = lua.index(ARGV, 4)
let looked_ms: lua.Value = lua.index(ARGV, 5)
let last: lua.Value = lua.index(ARGV, 6)
let epoch: lua.Value = lua.index(ARGV, 7)
let first: lua.Value = lua.index(ARGV, 8)
let untold: lua.Value = false
if (lua.yes(lua.gt(longest, 0))) {
let mark: lua.Value = redis.call("HMGET", lua.index(KEYS, 1), "h", "r", "s", "m", "p", "c", "n")
last = lua.max(last, lua.or(lua.tonumber(lua.index(mark, 1)), () => 0))
let now: lua.Value = lua.floor((lua.num(clock) / 1000))
let known: lua.Value = lua.or(lua.tonumber(lua.index(mark, 4)), () => 0)
longest = lua.max(longest, known)
let replication: lua.Value = redis.call("INFO", "replication")
let at: lua.Value = lua.find(replication, "master_replid:", 1, true)[0]
let reign: lua.Value = lua.sub(replication, (lua.num(at) + 14), (lua.num(at) + 53))
if ((((!lua.yes(lua.index(mark, 2)) && lua.yes(!lua.eq(first, "0"))) && lua.yes(!lua.eq(first, "-"))) && lua.yes(!lua.eq(first, reign)))) {
return [-2, reign]
}
untold = lua.and(!lua.eq(first, "-"), () => lua.gt(lua.abs((lua.num(now) - lua.num(lua.or(lua.tonumber(lua.index(mark, 7)), () => 0)))), TOLD_MS))
let since: lua.Value = lua.or(lua.tonumber(lua.index(mark, 3)), () => 0)
let run: lua.Value = lua.or(lua.index(mark, 5), () => "")
let told: lua.Value = lua.or(lua.tonumber(lua.index(mark, 6)), () => 0)
if (((lua.yes(!lua.eq(lua.index(mark, 2), reign)) || lua.yes(lua.gt(since, now))) || lua.yes(lua.gt(epoch, told)))) {
let server: lua.Value = redis.call("INFO", "server")
let never: lua.Value = lua.find(replication, lua.concat("master_replid2:", lua.rep("0", 40)), 1, true)[0]
at = lua.find(server, "run_id:", 1, true)[0]
let same: lua.Value = lua.and(lua.and(lua.and(never, () => lua.le(since, now)), () => lua.le(epoch, told)), () => lua.eq(lua.sub(server, (lua.num(at) + 7), (lua.num(at) + 46)), run))
run = lua.sub(server, (lua.num(at) + 7), (lua.num(at) + 46))
if (!lua.yes(same)) {
{
const all: lua.Value[] = [now, epoch]
since = all[0]
told = all[1]
}
if ((((!lua.yes(lua.index(mark, 2)) && lua.yes(!lua.eq(first, "0"))) && lua.yes(never)) && lua.yes(lua.eq(epoch, 0)))) {
let up: lua.Value = (lua.num(lua.find(server, "uptime_in_seconds:", 1, true)[0]) + 18)
let uptime: lua.Value = lua.tonumber(lua.sub(server, up, (lua.num(lua.find(server, "\r", up, true)[0]) - 1)))
if (lua.yes(lua.gt((lua.num((lua.num(uptime) - 1)) * 1000), longest))) {
since = (lua.num(now) - lua.num((lua.num((lua.num(uptime) - 1)) * 1000)))
}
}
}
known = 0
}
if (lua.yes(lua.lt(known, longest))) {
redis.call("HDEL", lua.index(KEYS, 1), "n")
redis.call("HSET", lua.index(KEYS, 1), "r", reign, "p", run, "s", lua.format("%.0f", since), "m", longest, "c", told)
}
if ((lua.yes(!lua.eq(looked, reign)) || lua.yes(lua.lt(looked_ms, since)))) {
return [-1, reign]
}
if ((lua.yes(lua.gt(since, 0)) && lua.yes(lua.gt((lua.num(since) + lua.num(longest)), now)))) {
return [(lua.num((lua.num(since) + lua.num(longest))) - lua.num(now)), 0]
}
}
if (lua.yes(lua.gt(least, 0))) {
let ahead: lua.Value = 2000000
if (lua.yes(lua.gt(longest, 0))) {
ahead = lua.min(ahead, (lua.num(longest) * 500))
}
clock = lua.min(least, (lua.num(clock) + lua.num(ahead)))
}
return [0, lua.format("%.0f", lua.max((lua.num(last) + 1), clock)), untold]
})
const turns: lua.Value = lua.fn((_: lua.Value, ARGV$2: lua.Value) => {
let CLAIM_MS: lua.Value = 1000
let holders: lua.Value = lua.index(ARGV$2, 1)
let line: lua.Value = lua.index(ARGV$2, 2)
let permits: lua.Value = lua.index(ARGV$2, 3)
let now$2: lua.Value = lua.index(ARGV$2, 4)
let held: lua.Value = ""
let used: lua.Value = 0
let soonest: lua.Value = 0
let latest: lua.Value = now$2
let told$2: lua.Value = ""
let from: lua.Value = 1
for (let at$2 of lua.steps(1, lua.len(holders), 55)) {
let ends: lua.Value = lua.tonumber(lua.sub(holders, (lua.num(at$2) + 22), (lua.num(at$2) + 34)))
if (lua.yes(lua.gt(ends, now$2))) {
used = (lua.num(used) + lua.num(lua.tonumber(lua.sub(holders, (lua.num(at$2) + 51), (lua.num(at$2) + 54)))))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt(ends, soonest)))) {
soonest = ends
}
latest = lua.max(latest, ends)
} else {
held = lua.concat(held, lua.sub(holders, from, (lua.num(at$2) - 1)))
from = (lua.num(at$2) + 55)
}
}
held = lua.concat(held, lua.sub(holders, from))
while (lua.yes(!lua.eq(line, ""))) {
let wanted: lua.Value = lua.sub(line, 36, 39)
if (lua.yes(lua.gt(lua.tonumber(lua.sub(line, 23, 35)), now$2))) {
if ((lua.yes(lua.gt(used, 0)) && lua.yes(lua.gt((lua.num(used) + lua.num(lua.tonumber(wanted))), permits)))) {
break
}
let first$2: lua.Value = lua.sub(line, 1, 22)
let claim: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now$2) + lua.num(CLAIM_MS)))), -13)
held = lua.concat(held, lua.concat(first$2, lua.concat(claim, lua.concat("0000000000000000", wanted))))
used = (lua.num(used) + lua.num(lua.tonumber(wanted)))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt((lua.num(now$2) + lua.num(CLAIM_MS)), soonest)))) {
soonest = (lua.num(now$2) + lua.num(CLAIM_MS))
}
latest = lua.max(latest, (lua.num(now$2) + lua.num(CLAIM_MS)))
told$2 = lua.concat(told$2, first$2)
}
line = lua.sub(line, 40)
}
return [held, line, used, soonest, latest, told$2]
})
const keep: lua.Value = lua.fn((KEYS$2: lua.Value, ARGV$3: lua.Value) => {
let line$2: lua.Value = lua.index(ARGV$3, 2)
let told$3: lua.Value = lua.index(ARGV$3, 5)
redis.call("HSET", lua.index(KEYS$2, 1), "o", lua.index(ARGV$3, 1), "q", line$2, "p", lua.index(ARGV$3, 3))
redis.call("PEXPIRE", lua.index(KEYS$2, 1), lua.index(ARGV$3, 4))
for (let at$3 of lua.steps(1, lua.len(told$3), 22)) {
redis.pcall("SPUBLISH", lua.index(KEYS$2, 1), lua.concat(lua.sub(told$3, at$3, (lua.num(at$3) + 21)), lua.sub(line$2, 1, 22)))
}
return []
})
let LONGEST_LINE: lua.Value = (39 * 1000)
let RETAIN_MS: lua.Value = 60000
let LONGEST_WAIT_MS: lua.Value = 2147483647
let owner: lua.Value = lua.index(redis.ARGV, 1)
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let shares: lua.Value = lua.tonumber(lua.index(redis.ARGV, 7))
let wait: lua.Value = lua.min(lua.tonumber(lua.index(redis.ARGV, 5)), LONGEST_WAIT_MS)
let time: lua.Value = redis.call("TIME")
let now_us: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000000)) + lua.num(lua.tonumber(lua.index(time, 2))))
let now$3: lua.Value = lua.floor((lua.num(now_us) / 1000))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "q", "p", "b", "h")
let permits$2: lua.Value = lua.tonumber(lua.or(lua.index(saved, 3), () => lua.index(redis.ARGV, 8)))
let [held$2, line$3, used$2, soonest$2, latest$2, told$4]: lua.Value[] = [...lua.invoke(turns, [lua.table([]), lua.table([lua.or(lua.index(saved, 1), () => ""), lua.or(lua.index(saved, 2), () => ""), permits$2, now$3])])]
let mine: lua.Value = lua.find(held$2, owner, 1, true)[0]
if (lua.yes(mine)) {
let token: lua.Value = lua.sub(held$2, (lua.num(mine) + 35), (lua.num(mine) + 50))
if (lua.yes(!lua.eq(token, "0000000000000000"))) {
let untold$2: lua.Value = lua.or(lua.and(!lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)), () => (1 - lua.num(redis.call("HEXISTS", lua.index(redis.KEYS, 2), "n")))), () => 0)
return lua.table([1, lua.format("%.0f", lua.tonumber(token)), (lua.num(lua.tonumber(lua.sub(held$2, (lua.num(mine) + 22), (lua.num(mine) + 34)))) - lua.num(now$3)), now$3, untold$2])
}
}
if ((lua.yes(lua.eq(held$2, "")) && lua.yes(lua.eq(line$3, "")))) {
permits$2 = lua.tonumber(lua.index(redis.ARGV, 8))
}
if (lua.yes(!lua.eq(permits$2, lua.tonumber(lua.index(redis.ARGV, 8))))) {
return lua.table([-3, permits$2])
}
let looked$2: lua.Value = lua.index(redis.ARGV, 9)
let looked_ms$2: lua.Value = lua.tonumber(lua.index(redis.ARGV, 10))
let epoch$2: lua.Value = lua.tonumber(lua.index(redis.ARGV, 11))
let [forgetful_ms, token$2, untold$3]: lua.Value[] = [...lua.invoke(marker, [lua.table([lua.index(redis.KEYS, 2)]), lua.table([lua.tonumber(lua.index(redis.ARGV, 3)), lua.tonumber(lua.index(redis.ARGV, 4)), now_us, looked$2, looked_ms$2, lua.or(lua.tonumber(lua.index(saved, 5)), () => 0), epoch$2, lua.index(redis.ARGV, 12)])])]
if (lua.yes(lua.gt(forgetful_ms, 0))) {
return lua.table([-2, forgetful_ms, now$3])
}
if (lua.yes(lua.eq(forgetful_ms, -1))) {
return lua.table([-4, token$2, now$3])
}
if (lua.yes(lua.lt(forgetful_ms, 0))) {
return lua.table([-5, token$2, now$3])
}
if ((!lua.yes(mine) && (lua.yes(!lua.eq(line$3, "")) || lua.yes(lua.gt((lua.num(used$2) + lua.num(shares)), permits$2))))) {
let place: lua.Value = 0
if (lua.yes(lua.gt(wait, 0))) {
let found: lua.Value = lua.find(line$3, owner, 1, true)[0]
if (lua.yes(found)) {
place = (lua.num((lua.num(found) + 38)) / 39)
} else if (lua.yes(lua.lt(lua.len(line$3), LONGEST_LINE))) {
let leaves: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now$3) + lua.num(wait)))), -13)
line$3 = lua.concat(line$3, lua.concat(owner, lua.concat(leaves, lua.sub(lua.concat("000", lua.index(redis.ARGV, 7)), -4))))
place = (lua.num(lua.len(line$3)) / 39)
}
}
if (lua.yes(!lua.eq(line$3, lua.or(lua.index(saved, 2), () => "")))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
lua.invoke(keep, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([held$2, line$3, permits$2, lua.max((lua.num(latest$2) - lua.num(now$3)), wait, redis.call("PTTL", lua.index(redis.KEYS, 1))), told$4])])[0]
}
if (lua.yes(lua.gt(shares, 1))) {
soonest$2 = latest$2
}
return lua.table([0, (lua.num(soonest$2) - lua.num(now$3)), place, lua.or(lua.index(saved, 4), () => ""), now$3])
}
if (lua.yes(mine)) {
held$2 = lua.concat(lua.sub(held$2, 1, (lua.num(mine) - 1)), lua.sub(held$2, (lua.num(mine) + 55)))
}
let ends$2: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now$3) + lua.num(ttl)))), -13)
held$2 = lua.concat(held$2, lua.concat(owner, lua.concat(ends$2, lua.concat(lua.sub(lua.concat("000000000000000", token$2), -16), lua.sub(lua.concat("000", lua.index(redis.ARGV, 7)), -4)))))
let keep_ms: lua.Value = lua.max(ttl, (lua.num(latest$2) - lua.num(now$3)))
if (lua.yes(lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)))) {
keep_ms = (lua.num(keep_ms) + lua.num(RETAIN_MS))
}
if (lua.yes(!lua.eq(line$3, ""))) {
keep_ms = lua.max(keep_ms, redis.call("PTTL", lua.index(redis.KEYS, 1)))
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "b")
lua.invoke(keep, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([held$2, line$3, permits$2, keep_ms, told$4])])[0]
if ((lua.yes(!lua.eq(lua.index(redis.ARGV, 6), "")) && lua.yes(lua.eq(shares, permits$2)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "b", lua.index(redis.ARGV, 6))
}
redis.call("HSET", lua.index(redis.KEYS, 2), "h", token$2)
if (lua.yes(untold$3)) {
return lua.table([1, token$2, ttl, now$3, 1])
}
return lua.table([1, token$2, ttl, now$3])
},
}
export default twin
