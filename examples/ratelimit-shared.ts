/** What users have in common, by leases: `npx tsx --conditions=slotwise-source examples/ratelimit-shared.ts` */
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
const limiter = new RateLimiter(redis, {
  name: 'api',
  tiers: {
    user: tokenBucket({ capacity: 50, refillPerSecond: 1 / 60 }),
    tenant: tokenBucket({ capacity: 10_000, refillPerSecond: 1000, by: 'tenant' }),
  },
  whenUnavailable: 'deny',
  lease: { epsilon: 0.05 },
})

for (const { name, lease } of limiter.describe({ tenant: 'acme', user: 'ada' })) {
  console.log(`${name}: ${lease === undefined ? 'exact' : `at most ${lease.excess} more than exact`}`)
}
for (const user of ['ada', 'bob']) {
  let allowed = 0
  for (let request = 0; request < 60; request++) {
    const decision = await limiter.consume({ tenant: 'acme', user })
    if (decision.allowed) allowed++
  }
  console.log(`${user}: ${allowed} of 60 allowed`)
}
const { asked, spent } = limiter.leaseStats() ?? { asked: 0, spent: 0 }
console.log(`the tenant's tokens: ${spent > asked ? 'mostly without asking' : 'each asked for'}`)
