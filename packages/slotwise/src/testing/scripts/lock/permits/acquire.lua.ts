// Generated from lock/permits/acquire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/permits/acquire',
sha1: 'a8808110f5b62cc87df367a7b7978ad8f629b015',
run(redis) {
let CLAIM_MS: lua.Value = 1000
let LONGEST_LINE: lua.Value = (39 * 1000)
let RETAIN_MS: lua.Value = 60000
let owner: lua.Value = lua.index(redis.ARGV, 1)
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let longest: lua.Value = lua.tonumber(lua.index(redis.ARGV, 3))
let least: lua.Value = lua.tonumber(lua.index(redis.ARGV, 4))
let wait: lua.Value = lua.tonumber(lua.index(redis.ARGV, 5))
let shares: lua.Value = lua.tonumber(lua.index(redis.ARGV, 7))
let time: lua.Value = redis.call("TIME")
let seconds: lua.Value = lua.tonumber(lua.index(time, 1))
let micros: lua.Value = lua.tonumber(lua.index(time, 2))
let now: lua.Value = (lua.num((lua.num(seconds) * 1000)) + lua.num(lua.floor((lua.num(micros) / 1000))))
let saved: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 1), "o", "q", "p", "b")
let mark: lua.Value = redis.call("HMGET", lua.index(redis.KEYS, 2), "h", "r", "s", "m")
let holders: lua.Value = lua.or(lua.index(saved, 1), () => "")
let line: lua.Value = lua.or(lua.index(saved, 2), () => "")
let permits: lua.Value = lua.tonumber(lua.or(lua.index(saved, 3), () => lua.index(redis.ARGV, 8)))
let held: lua.Value = ""
let used: lua.Value = 0
let soonest: lua.Value = 0
let latest: lua.Value = now
let told: lua.Value = ""
let from: lua.Value = 1
for (let at of lua.steps(1, lua.len(holders), 55)) {
let ends: lua.Value = lua.tonumber(lua.sub(holders, (lua.num(at) + 22), (lua.num(at) + 34)))
if (lua.yes(lua.gt(ends, now))) {
used = (lua.num(used) + lua.num(lua.tonumber(lua.sub(holders, (lua.num(at) + 51), (lua.num(at) + 54)))))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt(ends, soonest)))) {
soonest = ends
}
latest = lua.max(latest, ends)
} else {
held = lua.concat(held, lua.sub(holders, from, (lua.num(at) - 1)))
from = (lua.num(at) + 55)
}
}
held = lua.concat(held, lua.sub(holders, from))
while (lua.yes(!lua.eq(line, ""))) {
let wanted: lua.Value = lua.sub(line, 36, 39)
if (lua.yes(lua.gt(lua.tonumber(lua.sub(line, 23, 35)), now))) {
if ((lua.yes(lua.gt(used, 0)) && lua.yes(lua.gt((lua.num(used) + lua.num(lua.tonumber(wanted))), permits)))) {
break
}
let first: lua.Value = lua.sub(line, 1, 22)
let claim: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now) + lua.num(CLAIM_MS)))), -13)
held = lua.concat(held, lua.concat(first, lua.concat(claim, lua.concat("0000000000000000", wanted))))
used = (lua.num(used) + lua.num(lua.tonumber(wanted)))
if ((lua.yes(lua.eq(soonest, 0)) || lua.yes(lua.lt((lua.num(now) + lua.num(CLAIM_MS)), soonest)))) {
soonest = (lua.num(now) + lua.num(CLAIM_MS))
}
latest = lua.max(latest, (lua.num(now) + lua.num(CLAIM_MS)))
told = lua.concat(told, first)
}
line = lua.sub(line, 40)
}
let mine: lua.Value = lua.find(held, owner, 1, true)[0]
if (lua.yes(mine)) {
let token: lua.Value = lua.sub(held, (lua.num(mine) + 35), (lua.num(mine) + 50))
if (lua.yes(!lua.eq(token, "0000000000000000"))) {
return lua.table([1, lua.format("%.0f", lua.tonumber(token)), (lua.num(lua.tonumber(lua.sub(held, (lua.num(mine) + 22), (lua.num(mine) + 34)))) - lua.num(now)), now])
}
}
if ((lua.yes(lua.eq(held, "")) && lua.yes(lua.eq(line, "")))) {
permits = lua.tonumber(lua.index(redis.ARGV, 8))
}
if (lua.yes(!lua.eq(permits, lua.tonumber(lua.index(redis.ARGV, 8))))) {
return lua.table([-3, permits])
}
if (lua.yes(lua.gt(longest, 0))) {
let known: lua.Value = lua.or(lua.tonumber(lua.index(mark, 4)), () => 0)
longest = lua.max(longest, known)
let server: lua.Value = redis.call("INFO", "server")
let at$2: lua.Value = lua.find(server, "run_id:", 1, true)[0]
let run: lua.Value = lua.sub(server, (lua.num(at$2) + 7), (lua.num(at$2) + 46))
let since: lua.Value = lua.or(lua.tonumber(lua.index(mark, 3)), () => 0)
let begins: lua.Value = lua.or(!lua.eq(lua.index(mark, 2), run), () => lua.gt(since, now))
if (lua.yes(begins)) {
since = now
if (!lua.yes(lua.index(mark, 2))) {
let up: lua.Value = (lua.num(lua.find(server, "uptime_in_seconds:", 1, true)[0]) + 18)
let uptime: lua.Value = lua.tonumber(lua.sub(server, up, (lua.num(lua.find(server, "\r", up, true)[0]) - 1)))
let never: lua.Value = lua.concat("master_replid2:", lua.rep("0", 40))
if ((lua.yes(lua.gt((lua.num((lua.num(uptime) - 1)) * 1000), longest)) && lua.yes(lua.find(redis.call("INFO", "replication"), never, 1, true)[0]))) {
since = 0
}
}
}
if ((lua.yes(begins) || lua.yes(lua.lt(known, longest)))) {
redis.call("HDEL", lua.index(redis.KEYS, 2), "w")
redis.call("HSET", lua.index(redis.KEYS, 2), "r", run, "s", lua.format("%.0f", since), "m", longest)
}
if ((lua.yes(lua.gt(since, 0)) && lua.yes(lua.gt((lua.num(since) + lua.num(longest)), now)))) {
return lua.table([-2, (lua.num((lua.num(since) + lua.num(longest))) - lua.num(now)), now])
}
}
if ((!lua.yes(mine) && (lua.yes(!lua.eq(line, "")) || lua.yes(lua.gt((lua.num(used) + lua.num(shares)), permits))))) {
let place: lua.Value = 0
if (lua.yes(lua.gt(wait, 0))) {
let found: lua.Value = lua.find(line, owner, 1, true)[0]
if (lua.yes(found)) {
place = (lua.num((lua.num(found) + 38)) / 39)
} else if (lua.yes(lua.lt(lua.len(line), LONGEST_LINE))) {
let leaves: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now) + lua.num(wait)))), -13)
line = lua.concat(line, lua.concat(owner, lua.concat(leaves, lua.sub(lua.concat("000", lua.index(redis.ARGV, 7)), -4))))
place = (lua.num(lua.len(line)) / 39)
}
}
if (lua.yes(!lua.eq(line, lua.or(lua.index(saved, 2), () => "")))) {
redis.call("HDEL", lua.index(redis.KEYS, 1), "w")
redis.call("HSET", lua.index(redis.KEYS, 1), "o", held, "q", line, "p", permits)
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), lua.max((lua.num(latest) - lua.num(now)), wait, redis.call("PTTL", lua.index(redis.KEYS, 1))))
for (let at$3 of lua.steps(1, lua.len(told), 22)) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), lua.concat(lua.sub(told, at$3, (lua.num(at$3) + 21)), lua.sub(line, 1, 22)))
}
}
if (lua.yes(lua.gt(shares, 1))) {
soonest = latest
}
return lua.table([0, (lua.num(soonest) - lua.num(now)), place, lua.or(lua.index(saved, 4), () => ""), now])
}
let clock: lua.Value = (lua.num((lua.num(seconds) * 1000000)) + lua.num(micros))
if (lua.yes(lua.gt(least, 0))) {
let ahead: lua.Value = 2000000
if (lua.yes(lua.gt(longest, 0))) {
ahead = lua.min(ahead, (lua.num(longest) * 500))
}
clock = lua.min(least, (lua.num(clock) + lua.num(ahead)))
}
let token$2: lua.Value = lua.format("%.0f", lua.max((lua.num(lua.or(lua.tonumber(lua.index(mark, 1)), () => 0)) + 1), clock))
if (lua.yes(mine)) {
held = lua.concat(lua.sub(held, 1, (lua.num(mine) - 1)), lua.sub(held, (lua.num(mine) + 55)))
}
let ends$2: lua.Value = lua.sub(lua.concat("000000000000", lua.format("%.0f", (lua.num(now) + lua.num(ttl)))), -13)
held = lua.concat(held, lua.concat(owner, lua.concat(ends$2, lua.concat(lua.sub(lua.concat("000000000000000", token$2), -16), lua.sub(lua.concat("000", lua.index(redis.ARGV, 7)), -4)))))
let keep: lua.Value = lua.max(ttl, (lua.num(latest) - lua.num(now)))
if (lua.yes(!lua.eq(line, ""))) {
keep = lua.max(keep, redis.call("PTTL", lua.index(redis.KEYS, 1)))
}
if (lua.yes(lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)))) {
keep = (lua.num(keep) + lua.num(RETAIN_MS))
}
redis.call("HDEL", lua.index(redis.KEYS, 1), "b")
redis.call("HSET", lua.index(redis.KEYS, 1), "o", held, "q", line, "p", permits)
if ((lua.yes(!lua.eq(lua.index(redis.ARGV, 6), "")) && lua.yes(lua.eq(shares, permits)))) {
redis.call("HSET", lua.index(redis.KEYS, 1), "b", lua.index(redis.ARGV, 6))
}
redis.call("PEXPIRE", lua.index(redis.KEYS, 1), keep)
redis.call("HSET", lua.index(redis.KEYS, 2), "h", token$2)
for (let at$4 of lua.steps(1, lua.len(told), 22)) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), lua.concat(lua.sub(told, at$4, (lua.num(at$4) + 21)), lua.sub(line, 1, 22)))
}
return lua.table([1, token$2, ttl, now])
},
}
export default twin
