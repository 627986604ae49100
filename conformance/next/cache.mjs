import { NextCache } from 'slotwise/cache/next'
import { connect } from 'slotwise/ioredis'

function redis() {
  const nodes = process.env.SLOTWISE_NODES
  // As in a build: whoever asks for Redis all the same is heard of.
  if (nodes === undefined) throw new Error('asked for Redis where there is none')
  return connect({ nodes: nodes.split(','), namespace: 'conformance' })
}

export const cache = new NextCache(redis, {
  name: 'web',
  buildId: process.env.SLOTWISE_BUILD_ID,
  budgetMs: Number(process.env.SLOTWISE_BUDGET_MS ?? 100),
  onError: (error, { operation }) => console.error(operation, error.message),
})
