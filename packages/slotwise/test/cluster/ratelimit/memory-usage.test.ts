import { randomUUID } from 'node:crypto'
import { expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { keyOf } from '../../../src/redis/index.js'

it('takes one command and less than 200 bytes of memory for three tiers', async () => {
  await using port = await connect({ nodes: inject('clusterNodes'), namespace: 'test' })
  const subject = randomUUID()
  const tier = tokenBucket({ capacity: 1000, refillPerSecond: 1 })
  const limiter = new RateLimiter(port, {
    name: 'memory',
    tiers: { second: tier, minute: tier, hour: tier },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
  await limiter.consume(subject)
  const key = keyOf({ namespace: 'test', pattern: 'ratelimit', name: 'memory' }, subject)
  expect(Number(await port.call({ key, command: ['MEMORY', 'USAGE', key] }))).toBeLessThan(200)
})
