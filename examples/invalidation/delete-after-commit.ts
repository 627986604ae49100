import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  invalidate(id: string): Promise<void>
  close(): Promise<void>
}

/** GET, or load and SET; DEL once a change is committed. */
function deleting(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'delete' }, '7')
  return {
    async getOrLoad(_, load) {
      const found = await redis.call({ key, command: ['GET', key] })
      if (typeof found === 'string') return found
      const value = await load()
      await redis.call({ key, command: ['SET', key, value, 'PX', 60_000] })
      return value
    },
    async invalidate() {
      await redis.call({ key, command: ['DEL', key] })
    },
    close: async () => {},
  }
}

/** What is read after the delete, if a load had read the row before the change and comes back after the delete. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'old'
  const [reader, writer] = [open(), open()]
  await reader.getOrLoad('7', async () => {
    const read = title
    title = 'new'
    await writer.invalidate('7')
    return read
  })
  await reader.close()
  return await writer.getOrLoad('7', async () => title)
}

export const naive = (redis: RedisPort) => race(() => deleting(redis))

/** The removal takes the right to store from the load as well. */
export const ours = (redis: RedisPort) =>
  race(() => new Cache<string>(redis, { name: 'delete', ttlMs: 60_000 }))
