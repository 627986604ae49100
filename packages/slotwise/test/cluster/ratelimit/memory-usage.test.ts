import { expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { RateLimiter, slidingWindow, tokenBucket } from '../../../src/ratelimit/index.js'
import { type Argument, keyOf, type RedisPort } from '../../../src/redis/index.js'

/** A bucket and two sliding windows, and a subject with an id as databases give them. */
const subject = `u${Math.floor(Math.random() * 1e8)}`
const key = keyOf({ namespace: '', pattern: 'ratelimit', name: 'api' }, subject)
const limiterOf = (port: RedisPort) =>
  new RateLimiter(port, {
    name: 'api',
    tiers: {
      second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
      minute: slidingWindow({ limit: 10_000, windowMs: 60_000 }),
      day: slidingWindow({ limit: 5_000_000, windowMs: 86_400_000 }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })

it('takes at most 140 bytes of memory for a bucket and two sliding windows', async () => {
  await using port = await connect({ nodes: inject('clusterNodes') })
  await limiterOf(port).consume(subject)
  expect(Number(await port.call({ key, command: ['MEMORY', 'USAGE', key] }))).toBeLessThanOrEqual(140)
})

it('takes one command a decision, of at most 200 bytes', async () => {
  await using port = await connect({ nodes: inject('clusterNodes') })
  const sent: number[] = []
  const limiter = limiterOf({
    ...port,
    breaker: (of) => port.breaker(of),
    onEachPrimary: (...call) => port.onEachPrimary(...call),
    call: (call, options) => {
      if ('script' in call) sent.push(bytesOf(['EVALSHA', call.script.sha1, 1, ...call.keys, ...call.args]))
      return port.call(call, options)
    },
  })
  await limiter.consume(subject)
  await limiter.consume(subject, { cost: 3 })
  expect(sent).toHaveLength(2)
  expect(Math.max(...sent)).toBeLessThanOrEqual(200)
})

/** As a client writes it. */
function bytesOf(words: readonly Argument[]): number {
  const lengths = words.map((word) =>
    word instanceof Uint8Array ? word.length : Buffer.byteLength(String(word)),
  )
  const framed = lengths.map((length) => `$${length}\r\n`.length + length + 2)
  return framed.reduce((sum, length) => sum + length, `*${words.length}\r\n`.length)
}
