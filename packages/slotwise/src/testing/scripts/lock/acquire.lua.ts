// Generated from lock/acquire.lua by `npm run generate`: change that file, not this one.
import * as lua from '../../lua/index.js'

const twin: lua.Twin = {
name: 'lock/acquire',
sha1: 'a86a4780976566a079bf41eb5f448939a45ce00a',
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
const put: lua.Value = lua.fn((KEYS$2: lua.Value, ARGV$2: lua.Value) => {
if (lua.yes(lua.index(redis.pcall("SET", lua.index(KEYS$2, 1), lua.index(ARGV$2, 1), "PX", lua.index(ARGV$2, 2)), "err"))) {
redis.call("PEXPIRE", lua.index(KEYS$2, 1), lua.index(ARGV$2, 2))
redis.call("SET", lua.index(KEYS$2, 1), lua.index(ARGV$2, 1), "PX", lua.index(ARGV$2, 2))
}
return []
})
let CLAIM_MS: lua.Value = 1000
let LONGEST_LINE: lua.Value = (35 * 1000)
let RETAIN_MS: lua.Value = 60000
let LONGEST_WAIT_MS: lua.Value = 2147483647
let owner: lua.Value = lua.index(redis.ARGV, 1)
let ttl: lua.Value = lua.tonumber(lua.index(redis.ARGV, 2))
let wait: lua.Value = lua.min(lua.tonumber(lua.index(redis.ARGV, 5)), LONGEST_WAIT_MS)
let time: lua.Value = redis.call("TIME")
let now_us: lua.Value = (lua.num((lua.num(lua.tonumber(lua.index(time, 1))) * 1000000)) + lua.num(lua.tonumber(lua.index(time, 2))))
let now$2: lua.Value = lua.floor((lua.num(now_us) / 1000))
let saved: lua.Value = redis.call("GET", lua.index(redis.KEYS, 1))
let holder: lua.Value = ""
let ends: lua.Value = 0
let last$2: lua.Value = 0
let label: lua.Value = ""
let line: lua.Value = ""
let state: lua.Value = "-"
let keeping: lua.Value = "0"
if (lua.yes(saved)) {
{
const all: lua.Value[] = [lua.sub(saved, 1, 22), lua.tonumber(lua.sub(saved, 23, 35)), lua.tonumber(lua.sub(saved, 36, 51))]
holder = all[0]
ends = all[1]
last$2 = all[2]
}
{
const all: lua.Value[] = [lua.sub(saved, 52, 52), lua.sub(saved, 53, 53)]
state = all[0]
keeping = all[1]
}
let from: lua.Value = (58 + lua.num(lua.tonumber(lua.sub(saved, 54, 57))))
{
const all: lua.Value[] = [lua.sub(saved, 58, (lua.num(from) - 1)), lua.sub(saved, from)]
label = all[0]
line = all[1]
}
}
if (lua.yes(lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)))) {
keeping = "2"
} else if (lua.yes(lua.eq(keeping, "2"))) {
keeping = "1"
}
if (lua.yes(lua.eq(state, "d"))) {
if (lua.yes(lua.gt(ends, now$2))) {
return lua.table([2, line])
}
line = ""
}
let live: lua.Value = lua.and(lua.gt(ends, now$2), () => lua.or(lua.eq(state, "h"), () => lua.eq(state, "c")))
if (((lua.yes(live) && lua.yes(lua.eq(holder, owner))) && lua.yes(lua.eq(state, "h")))) {
let untold$2: lua.Value = lua.or(lua.and(!lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)), () => (1 - lua.num(redis.call("HEXISTS", lua.index(redis.KEYS, 2), "n")))), () => 0)
return lua.table([1, lua.format("%.0f", last$2), (lua.num(ends) - lua.num(now$2)), now$2, untold$2])
}
let looked$2: lua.Value = lua.index(redis.ARGV, 7)
let looked_ms$2: lua.Value = lua.tonumber(lua.index(redis.ARGV, 8))
let epoch$2: lua.Value = lua.tonumber(lua.index(redis.ARGV, 9))
let [forgetful_ms, token, untold$3]: lua.Value[] = [...lua.invoke(marker, [lua.table([lua.index(redis.KEYS, 2)]), lua.table([lua.tonumber(lua.index(redis.ARGV, 3)), lua.tonumber(lua.index(redis.ARGV, 4)), now_us, looked$2, looked_ms$2, last$2, epoch$2, lua.index(redis.ARGV, 10)])])]
if (lua.yes(lua.gt(forgetful_ms, 0))) {
return lua.table([-2, forgetful_ms, now$2])
}
if (lua.yes(lua.eq(forgetful_ms, -1))) {
return lua.table([-4, token, now$2])
}
if (lua.yes(lua.lt(forgetful_ms, 0))) {
return lua.table([-5, token, now$2])
}
let before: lua.Value = line
let told$2: lua.Value = ""
if (!lua.yes(live)) {
while ((lua.yes(!lua.eq(line, "")) && lua.yes(lua.le(lua.tonumber(lua.sub(line, 23, 35)), now$2)))) {
line = lua.sub(line, 36)
}
if ((lua.yes(!lua.eq(line, "")) && lua.yes(!lua.eq(lua.sub(line, 1, 22), owner)))) {
live = true
{
const all: lua.Value[] = [lua.sub(line, 1, 22), lua.sub(line, 1, 22)]
holder = all[0]
told$2 = all[1]
}
{
const all: lua.Value[] = [(lua.num(now$2) + lua.num(CLAIM_MS)), "c", ""]
ends = all[0]
state = all[1]
label = all[2]
}
}
line = lua.sub(line, 36)
} else if (lua.yes(lua.eq(holder, owner))) {
live = false
}
if (lua.yes(live)) {
let place: lua.Value = 0
if (lua.yes(lua.gt(wait, 0))) {
let found: lua.Value = lua.find(line, owner, 1, true)[0]
if (lua.yes(found)) {
place = (lua.num((lua.num(found) + 34)) / 35)
} else if (lua.yes(lua.lt(lua.len(line), LONGEST_LINE))) {
line = lua.concat(line, lua.concat(owner, lua.format("%013.0f", (lua.num(now$2) + lua.num(wait)))))
place = (lua.num(lua.len(line)) / 35)
}
}
if ((lua.yes(!lua.eq(line, before)) || lua.yes(!lua.eq(told$2, "")))) {
if (lua.yes(lua.eq(keeping, "0"))) {
keeping = "1"
}
let head: lua.Value = lua.concat(holder, lua.concat(lua.format("%013.0f%016.0f", ends, last$2), lua.concat(state, keeping)))
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(head, lua.concat(lua.format("%04d", lua.len(label)), lua.concat(label, line))), lua.max((lua.num(ends) - lua.num(now$2)), wait, redis.call("PTTL", lua.index(redis.KEYS, 1)))])])[0]
if (lua.yes(!lua.eq(told$2, ""))) {
redis.pcall("SPUBLISH", lua.index(redis.KEYS, 1), lua.concat(told$2, lua.sub(line, 1, 22)))
}
}
return lua.table([0, (lua.num(ends) - lua.num(now$2)), place, label, now$2])
}
let keep: lua.Value = ttl
if (lua.yes(lua.eq(keeping, "2"))) {
keep = (lua.num(keep) + lua.num(RETAIN_MS))
} else if (lua.yes(lua.eq(line, ""))) {
keeping = "0"
} else {
keeping = "1"
}
if (lua.yes(!lua.eq(line, ""))) {
keep = lua.max(keep, redis.call("PTTL", lua.index(redis.KEYS, 1)))
}
let head$2: lua.Value = lua.concat(owner, lua.concat(lua.format("%013.0f", (lua.num(now$2) + lua.num(ttl))), lua.concat(lua.sub(lua.concat("000000000000000", token), -16), lua.concat("h", keeping))))
lua.invoke(put, [lua.table([lua.index(redis.KEYS, 1)]), lua.table([lua.concat(head$2, lua.concat(lua.format("%04d", lua.len(lua.index(redis.ARGV, 6))), lua.concat(lua.index(redis.ARGV, 6), line))), keep])])[0]
if (lua.yes(!lua.eq(lua.index(redis.KEYS, 1), lua.index(redis.KEYS, 2)))) {
redis.call("HSET", lua.index(redis.KEYS, 2), "h", token)
}
if (lua.yes(untold$3)) {
return lua.table([1, token, ttl, now$2, 1])
}
return lua.table([1, token, ttl, now$2])
},
}
export default twin
