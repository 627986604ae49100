import { Cluster } from 'ioredis'
import type { Place, Subject, Value } from './subject.js'
import { TTL_MS } from './subject.js'

const openWith =
  (enableAutoPipelining: boolean) =>
  async ({ nodes, prefix }: Place): Promise<Subject> => {
    const cluster = new Cluster([...nodes], {
      enableAutoPipelining,
      redisOptions: { commandTimeout: 3000 },
    })
    cluster.on('error', () => {})
    await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
    return {
      read: async (id, load) => {
        const text = await cluster.get(`${prefix}:${id}`)
        if (text !== null) return JSON.parse(text) as Value
        const value = await load()
        await cluster.set(`${prefix}:${id}`, JSON.stringify(value), 'PX', TTL_MS)
        return value
      },
      remove: (id) => cluster.del(`${prefix}:${id}`),
      close: async () => cluster.disconnect(),
    }
  }

/** What one would write by hand: GET, JSON.parse. */
export const open = openWith(false)
export const openPipelining = openWith(true)
