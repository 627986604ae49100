/** Two limits decided together, on a cluster of its own: `npx tsx --conditions=slotwise-source examples/ratelimit.ts` */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { RateLimiter, slidingWindow, tokenBucket } from 'slotwise/ratelimit'

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
const limiter = new RateLimiter(redis, {
  name: 'api',
  tiers: {
    burst: tokenBucket({ capacity: 3, refillPerSecond: 5 }),
    minute: slidingWindow({ limit: 100, windowMs: 60_000 }),
  },
  whenUnavailable: 'allow',
})

for (let request = 1; request <= 6; request++) {
  const decision = await limiter.consume('customer-1')
  if (decision.allowed) {
    const left = decision.tiers.map(({ name, remaining }) => `${name} ${remaining}`)
    console.log(`request ${request}: allowed, left ${left.join(', ')}`)
    if (request === 3) console.log('given back:', await limiter.refund(decision.receipt))
  } else if (decision.reason === 'limited') {
    console.log(
      `request ${request}: refused by ${decision.violated.join()}, again in ${decision.retryAfterMs} ms`,
    )
    await sleep(decision.retryAfterMs)
  }
}

console.log('more than a full bucket:', await limiter.consume('customer-1', { cost: 4 }))
