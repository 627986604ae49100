import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { quantile } from '../measuring/rates.js'
import { placeIn } from './probes.js'
import { TTL_MS, type Value, valueOf } from './subject.js'

/** What the loader takes. */
export const LOADER_MS = 5
const READS = 400
const AT_ONCE = 20

export interface Hung {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Read-throughs of what is not there yet while all primaries are stopped (SIGSTOP), with the cache's own defaults. */
export async function measureHung(cluster: LocalCluster, port: RedisPort): Promise<Hung> {
  const { prefix } = placeIn(cluster)
  await using cache = new Cache<Value>(port, { name: prefix, ttlMs: TTL_MS })
  const load = async () => {
    await sleep(LOADER_MS)
    return valueOf('hung')
  }
  // It learns from the answers of a well cluster how long one is worth waiting for.
  for (let n = 0; n < 200; n++) await cache.getOrLoad('warm', load)
  const primaries = [...cluster.nodes.keys()].filter((index) => cluster.nodes[index]?.role === 'primary')
  await Promise.all(primaries.map((index) => cluster.pause(index)))
  try {
    const took: number[] = []
    let next = 0
    const reader = async () => {
      while (next < READS) {
        const id = `hung-${next++}`
        const from = performance.now()
        await cache.getOrLoad(id, load)
        took.push(performance.now() - from)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, reader))
    return { p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99), maxMs: Math.max(...took) }
  } finally {
    await Promise.all(primaries.map((index) => cluster.resume(index)))
    await cluster.whenHealthy()
  }
}
