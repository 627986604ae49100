import { EventEmitter } from 'node:events'
import KeyvRedis, { createCluster, Keyv } from '@keyv/redis'
import { RedisMessageProvider } from '@qified/redis'
import { Cacheable } from 'cacheable'
import type { OpenLevels } from '../../../invalidation/subject.js'
import { TTL_MS, type Value } from '../../subject.js'

const openWith =
  (handled: boolean): OpenLevels =>
  async ({ nodes, prefix, bus }) => {
    const cluster = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) })
    const store = new KeyvRedis(cluster, { namespace: prefix, throwOnConnectError: false })
    const secondary = new Keyv({ store, namespace: prefix, useKeyPrefix: false })
    const provider = new RedisMessageProvider({ uri: `redis://${bus[0]?.host}:${bus[0]?.port}` })
    const cache = new Cacheable({
      secondary,
      ttl: TTL_MS,
      namespace: prefix,
      tags: true,
      sync: { qified: provider },
    })
    for (const emitter of [cluster, store, secondary, cache]) emitter.on('error', () => {})
    // They are declared to be private, and there is no other way to them.
    const clients = Object.values(provider).filter((member) => member instanceof EventEmitter)
    if (handled) for (const client of clients) client.on('error', () => {})
    await store.getClient()
    return {
      // Its `getOrSet` takes no tags.
      read: async (id, load, tag) => {
        const held = await cache.get<Value>(id)
        if (held !== undefined) return held
        const value = await load()
        await cache.set(id, value, tag === undefined ? {} : { tags: [tag] })
        return value
      },
      remove: (id) => cache.delete(id),
      removeTag: (tag) => cache.tags.invalidateTag(tag),
    }
  }

/** As its README has it. */
export const open = openWith(false)
/** Its provider makes clients of its own, on which somebody has to listen for errors. */
export const openHandled = openWith(true)
