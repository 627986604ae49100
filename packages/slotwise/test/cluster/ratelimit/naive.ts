import type { Key, RedisPort, Reply, ScriptSource } from '../../../src/redis/index.js'

/**
 * The token bucket as textbooks print it: whole seconds of the caller's clock, a fixed time to live, a write on
 * every request, and a wait that is one over the rate in whole seconds. Here to show that the tests of ours can fail.
 */
const script: ScriptSource<'key', 'capacity' | 'rate' | 'now' | 'requested'> = {
  name: 'naive',
  keys: ['key'],
  args: ['capacity', 'rate', 'now', 'requested'],
  sha1: '0000000000000000000000000000000000000000',
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

export interface NaiveDecision {
  readonly allowed: boolean
  readonly retryAfterMs: number
}

export async function naiveConsume(
  port: RedisPort,
  key: Key,
  { capacity, refillPerSecond }: { readonly capacity: number; readonly refillPerSecond: number },
  nowMs: number,
): Promise<NaiveDecision> {
  const args = [capacity, refillPerSecond, Math.floor(nowMs / 1000), 1]
  const [allowed] = (await port.call({ script, keys: [key], args })) as readonly Reply[]
  return { allowed: allowed === 1, retryAfterMs: allowed === 1 ? 0 : Math.trunc(1 / refillPerSecond) * 1000 }
}
