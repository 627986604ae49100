import { NextCache } from 'slotwise/cache/next'
import { connect } from 'slotwise/ioredis'

const nodes = (process.env.SLOTWISE_NODES ?? '').split(',')
export const cache = new NextCache(() => connect({ nodes, namespace: 'conformance' }), {
  name: 'web',
  buildId: process.env.SLOTWISE_BUILD_ID,
  budgetMs: Number(process.env.SLOTWISE_BUDGET_MS ?? 100),
  onError: (error, { operation }) => console.error(operation, error.message),
})
