import type { Key, RedisPort, Reply, ScriptSource } from '../../../src/redis/index.js'

/**
 * Limiters as textbooks print them, once, to show that the promises of ours can be broken. Each takes the caller's clock for the
 * time, in milliseconds.
 */
export interface Verdict {
  readonly allowed: boolean
  readonly retryAfterMs?: number
}
export type Consume = (nowMs: number, cost?: number) => Promise<Verdict>

const bucketScript: ScriptSource<'key', 'capacity' | 'rate' | 'now' | 'requested'> = {
  name: 'naive',
  keys: ['key'],
  args: ['capacity', 'rate', 'now', 'requested'],
  sha1: 'naive bucket',
  source: `
    local capacity, rate, now, requested = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
    local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'last_refill')
    local tokens = tonumber(bucket[1]) or capacity
    local last = tonumber(bucket[2]) or now
    tokens = math.min(capacity, tokens + (now - last) * rate)
    local allowed = 0
    if tokens >= requested then tokens = tokens - requested allowed = 1 end
    redis.call('HMSET', KEYS[1], 'tokens', tokens, 'last_refill', now)
    redis.call('EXPIRE', KEYS[1], 120)
    return {allowed, math.floor(tokens)}`,
}

/** Whole seconds of the caller's clock, a fixed time to live, and a wait that is one over the rate in whole seconds. */
export const naiveBucket =
  (port: RedisPort, key: Key, capacity: number, refillPerSecond: number): Consume =>
  async (nowMs, cost = 1) => {
    const args = [capacity, refillPerSecond, Math.floor(nowMs / 1000), cost]
    const [allowed] = (await port.call({ script: bucketScript, keys: [key], args })) as readonly Reply[]
    return {
      allowed: allowed === 1,
      retryAfterMs: allowed === 1 ? 0 : Math.trunc(1 / refillPerSecond) * 1000,
    }
  }

/** A counter whose end is set anew by every request. */
export const naiveWindow =
  (port: RedisPort, key: Key, limit: number, windowSeconds: number): Consume =>
  async () => {
    const count = Number(await port.call({ key, command: ['INCR', key] }))
    await port.call({ key, command: ['EXPIRE', key, windowSeconds] })
    return { allowed: count <= limit }
  }

/** A counter for each window of the clock. */
export const naiveWindows =
  (port: RedisPort, keyAt: (window: number) => Key, limit: number, windowMs: number): Consume =>
  async (nowMs) => {
    const key = keyAt(Math.floor(nowMs / windowMs))
    return { allowed: Number(await port.call({ key, command: ['INCR', key] })) <= limit }
  }

const logScript: ScriptSource<'key', 'start' | 'now' | 'limit'> = {
  name: 'naive',
  keys: ['key'],
  args: ['start', 'now', 'limit'],
  sha1: 'naive log',
  // A hash in the place of a sorted set: what matters is that the member is the moment.
  source: `
    local count = 0
    local all = redis.call('HGETALL', KEYS[1])
    for at = 1, #all, 2 do if tonumber(all[at]) > tonumber(ARGV[1]) then count = count + 1 end end
    if count >= tonumber(ARGV[3]) then return 0 end
    redis.call('HSET', KEYS[1], ARGV[2], 1)
    return 1`,
}

/** A log whose members are moments, so that two of the same moment are one. */
export const naiveLog =
  (port: RedisPort, key: Key, limit: number, windowMs: number): Consume =>
  async (nowMs) => {
    const args = [nowMs - windowMs, nowMs, limit]
    return { allowed: (await port.call({ script: logScript, keys: [key], args })) === 1 }
  }

/** Two counters that are read, and then one of them is written. */
export const naiveEstimate =
  (port: RedisPort, keyAt: (window: number) => Key, limit: number, windowMs: number): Consume =>
  async (nowMs) => {
    const window = Math.floor(nowMs / windowMs)
    const [previous, current] = await Promise.all(
      [window - 1, window].map((at) => port.call({ key: keyAt(at), command: ['GET', keyAt(at)] })),
    )
    const gone = (nowMs % windowMs) / windowMs
    if (Number(previous) * (1 - gone) + Number(current) >= limit) return { allowed: false }
    await port.call({ key: keyAt(window), command: ['INCR', keyAt(window)] })
    return { allowed: true }
  }

/** One limiter after the other. */
export const naiveTiers =
  (tiers: readonly Consume[]): Consume =>
  async (nowMs) => {
    for (const consume of tiers) {
      const verdict = await consume(nowMs)
      if (!verdict.allowed) return verdict
    }
    return { allowed: true }
  }
