import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Cluster } from 'ioredis'
import { type LevelsPlace, MAX_ENTRIES, type OpenLevels } from '../../../invalidation/subject.js'
import { TTL_MS, type Value } from '../../subject.js'

const openWith =
  (memory: { readonly serialize?: boolean }): OpenLevels =>
  async ({ nodes, prefix, bus }: LevelsPlace) => {
    const connection = new Cluster([...nodes])
    connection.on('error', () => {})
    await new Promise<void>((resolve) => connection.once('ready', () => resolve()))
    const store = bentostore()
      .useL1Layer(memoryDriver({ maxItems: MAX_ENTRIES, ...memory }))
      .useL2Layer(redisDriver({ connection }))
      .useBus(redisBusDriver({ connection: { ...bus[0] } }))
    const cache = new BentoCache({ default: 'levels', ttl: TTL_MS, prefix, stores: { levels: store } })
    return {
      read: (key, factory, tag) =>
        cache.getOrSet<Value>({ key, factory, ...(tag === undefined ? {} : { tags: [tag] }) }),
      remove: (key) => cache.delete({ key }),
      removeTag: (tag) => cache.deleteByTag({ tags: [tag] }),
    }
  }

/** What lies in memory is serialized there, so that nobody changes it for the others. */
export const open = openWith({})
/** What lies in memory is everybody's. */
export const openShared = openWith({ serialize: false })
