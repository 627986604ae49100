import { connect } from 'slotwise/ioredis'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { nextLimit } from 'slotwise/ratelimit/next'

async function limiter() {
  const nodes = process.env.SLOTWISE_NODES
  if (nodes === undefined) throw new Error('asked for Redis where there is none')
  return new RateLimiter(await connect({ nodes: nodes.split(','), namespace: 'conformance' }), {
    name: 'limited',
    tiers: { requests: tokenBucket({ capacity: 2, refillPerSecond: 0.001 }) },
    whenUnavailable: 'deny',
    deadlineMs: 5000,
  })
}

/** Behind one proxy, which is the test. */
export const limited = (handler) => nextLimit(limiter, { proxies: { trust: 1 }, refund: 'failed' }, handler)
