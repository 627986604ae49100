import { inject } from 'vitest'
import { connect } from '../../src/ioredis/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { MemoryRedis, memoryPort } from '../../src/testing/index.js'
import { compiledTwin } from './compiled-twin.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The project runs the tests of patterns once more without a server. */
    inMemory?: boolean
  }
}

/**
 * A port for tests that hold for every Redis: to the cluster of the run in the project `cluster`, to one in memory in
 * the project `memory`, so that the twins are held to the same promises by the same tests.
 */
export async function anyPort({ namespace = '' } = {}): Promise<RedisPort> {
  return inject('inMemory')
    ? memoryPort({ namespace, scripts: compiledTwin })
    : await connect({ nodes: inject('clusterNodes'), namespace })
}

/** Two ports to the same Redis, as of two processes. */
export async function twoPorts({ namespace = '' } = {}): Promise<readonly [RedisPort, RedisPort]> {
  if (!inject('inMemory')) return await Promise.all([anyPort({ namespace }), anyPort({ namespace })])
  const redis = new MemoryRedis({ scripts: compiledTwin })
  return [redis.connect({ namespace }), redis.connect({ namespace })]
}
