import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import type { LocalCluster } from 'slotwise/local'
import { type Key, keyOf, type RedisPort } from 'slotwise/redis'
import { monitor, SEEN_MS } from '../measuring/monitor.js'
import { placeIn } from './probes.js'
import { TTL_MS, type Value, valueOf } from './subject.js'

/** Names of the commands that reached the servers, in their order, not those that scripts run there. */
export interface Counted {
  readonly hit: readonly string[]
  /** Up to the end of the load, and with what follows behind the caller's back. */
  readonly miss: { readonly beforeValue: readonly string[]; readonly inAll: readonly string[] }
  readonly invalidate: readonly string[]
}

/** What one hit, one miss and one invalidation send, as the servers themselves tell it (MONITOR). */
export async function countCommands(cluster: LocalCluster, port: RedisPort): Promise<Counted> {
  const { prefix } = placeIn(cluster)
  const cache = new Cache<Value>(port, { name: prefix, ttlMs: TTL_MS })
  const warm = new Cache<Value>(port, { name: `warm-${prefix.slice(-8)}`, ttlMs: TTL_MS })
  // Every primary is to know the scripts: the first run of each on each sends it twice.
  for (let n = 0; n < 50; n++) await warm.getOrLoad(`${n}`, async () => valueOf(`${n}`))
  await sleep(SEEN_MS)
  const monitored = await monitor(cluster, prefix)
  try {
    let beforeValue: readonly string[] = []
    const load = async () => {
      await sleep(SEEN_MS)
      beforeValue = monitored.seen()
      return valueOf('counted')
    }
    const inAll = await monitored.during(() => cache.getOrLoad('counted', load))
    const hit = await monitored.during(() => cache.getOrLoad('counted', load))
    return {
      miss: { beforeValue, inAll },
      hit,
      invalidate: await monitored.during(() => cache.invalidate('counted')),
    }
  } finally {
    monitored.close()
    await Promise.all([cache.close(), warm.close()])
  }
}

/** Bytes that one entry takes in Redis, and that the same JSON takes as a string. */
export async function measureMemory(
  cluster: LocalCluster,
  port: RedisPort,
): Promise<{ readonly hash: number; readonly string: number; readonly json: number }> {
  const { prefix } = placeIn(cluster)
  await using cache = new Cache<Value>(port, { name: prefix, ttlMs: TTL_MS })
  const value = valueOf('weighed')
  await cache.getOrLoad('weighed', async () => value)
  await cache.close()
  const weigh = async (key: Key) =>
    Number(await port.call({ key, command: ['MEMORY', 'USAGE', key, 'SAMPLES', 0], repeat: 'safe' }))
  const entry = keyOf({ namespace: port.namespace, pattern: 'cache', name: prefix }, 'weighed')
  const plain = keyOf({ namespace: port.namespace, pattern: 'plain', name: prefix }, 'weighed')
  const json = JSON.stringify(value)
  await port.call({ key: plain, command: ['SET', plain, json, 'PX', TTL_MS], repeat: 'safe' })
  return { hash: await weigh(entry), string: await weigh(plain), json: Buffer.byteLength(json) }
}
