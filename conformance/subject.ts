/** What the suites are run on, as run.ts tells them. */
import { randomUUID } from 'node:crypto'
import { connect } from 'slotwise/ioredis'
import type { RedisPort } from 'slotwise/redis'

/** Ours, or the store for Redis that the owner publishes. */
export const theirs = process.env['SLOTWISE_SUBJECT'] === 'theirs'

/** The nodes of a six-node cluster, which run.ts starts. */
export const nodes = (process.env['SLOTWISE_NODES'] ?? '').split(',')
export const roots = nodes.map((node) => {
  const at = node.lastIndexOf(':')
  return { host: node.slice(0, at), port: Number(node.slice(at + 1)) }
})

/** Nobody else's. */
export const unique = (): string => randomUUID().slice(0, 8)

export const open = (): Promise<RedisPort> => connect({ nodes, namespace: `conformance-${unique()}` })

/** A shared machine may hold a process up for longer than a read should wait for Redis. */
export const patient = { budgetMs: { min: 5000, max: 5000 } } as const
