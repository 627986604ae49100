/**
 * Where the keys of a command stand among its arguments, counted from 1 behind the name.
 *
 * A command that is missing here is refused in scripts until somebody has looked up its keys; those that reach
 * beyond the slot of their keys (SCAN, FLUSHALL, RANDOMKEY), block, or are younger than Redis 7.0 are missing on
 * purpose. The places are those that COMMAND GETKEYS of Redis 7.0 gives; of SPUBLISH the channel, which has a slot.
 */
export type KeyPositions = (args: readonly (string | undefined)[]) => readonly number[]

const none: KeyPositions = () => []
const first: KeyPositions = () => [1]
const firstTwo: KeyPositions = () => [1, 2]
const second: KeyPositions = () => [2]
const every: KeyPositions = (args) => args.map((_, i) => i + 1)
const pairs: KeyPositions = (args) => args.map((_, i) => i + 1).filter((i) => i % 2 === 1)

/** As many keys as the argument at `at` says, behind it; with a destination in front where there is one. */
const counted =
  (at: number): KeyPositions =>
  (args) => {
    const count = Number(args[at - 1])
    const keys = Array.from({ length: Number.isSafeInteger(count) ? count : 0 }, (_, i) => at + 1 + i)
    return at === 1 ? keys : [1, ...keys]
  }

/** The first half of what follows the word STREAMS. */
const streams: KeyPositions = (args) => {
  const at = args.findIndex((arg) => arg?.toUpperCase() === 'STREAMS')
  return at < 0 ? [] : Array.from({ length: (args.length - at - 1) / 2 }, (_, i) => at + 2 + i)
}

const groups: readonly (readonly [KeyPositions, string])[] = [
  [none, 'TIME INFO PING ECHO PUBLISH'],
  [
    first,
    `GET SET SETNX SETEX PSETEX GETDEL GETEX GETSET GETRANGE SETRANGE APPEND STRLEN INCR INCRBY INCRBYFLOAT DECR DECRBY
     SETBIT GETBIT BITCOUNT BITPOS BITFIELD BITFIELD_RO
     EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST TTL PTTL EXPIRETIME PEXPIRETIME TYPE DUMP RESTORE
     HGET HSET HSETNX HMGET HMSET HDEL HEXISTS HLEN HKEYS HVALS HGETALL HINCRBY HINCRBYFLOAT HSTRLEN HRANDFIELD HSCAN
     LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LINDEX LSET LRANGE LTRIM LREM LINSERT LPOS
     SADD SREM SISMEMBER SMISMEMBER SCARD SMEMBERS SPOP SRANDMEMBER SSCAN
     ZADD ZREM ZSCORE ZMSCORE ZCARD ZCOUNT ZLEXCOUNT ZINCRBY ZRANK ZREVRANK ZRANGE ZREVRANGE ZRANGEBYSCORE
     ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREMRANGEBYLEX ZPOPMIN ZPOPMAX
     ZRANDMEMBER ZSCAN
     XADD XLEN XRANGE XREVRANGE XTRIM XDEL XACK XCLAIM XAUTOCLAIM XPENDING XSETID
     GEOADD GEOPOS GEODIST GEOHASH GEOSEARCH PFADD SPUBLISH`,
  ],
  [firstTwo, 'RENAME RENAMENX COPY LMOVE RPOPLPUSH SMOVE LCS ZRANGESTORE GEOSEARCHSTORE'],
  [
    every,
    'DEL UNLINK EXISTS TOUCH MGET SINTER SUNION SDIFF SINTERSTORE SUNIONSTORE SDIFFSTORE PFCOUNT PFMERGE',
  ],
  [pairs, 'MSET MSETNX'],
  [counted(1), 'ZUNION ZINTER ZDIFF ZINTERCARD SINTERCARD LMPOP ZMPOP'],
  [counted(2), 'ZUNIONSTORE ZINTERSTORE ZDIFFSTORE'],
  [second, 'OBJECT MEMORY XINFO XGROUP'],
  [streams, 'XREAD XREADGROUP'],
]

export const COMMANDS: ReadonlyMap<string, KeyPositions> = new Map(
  groups.flatMap(([positions, names]) => names.split(/\s+/).map((name) => [name, positions] as const)),
)
