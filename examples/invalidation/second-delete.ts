import { setTimeout as pause } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

/** How long a load takes at most, it is hoped. */
const DELAY_MS = 50

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  change(id: string, commit: () => void): Promise<void>
  close(): Promise<void>
}

/** DEL, commit, DEL, and DEL once more some time later. */
function deletingTwice(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'twice' }, '7')
  const remove = () => redis.call({ key, command: ['DEL', key] })
  return {
    async getOrLoad(_, load) {
      const found = await redis.call({ key, command: ['GET', key] })
      if (typeof found === 'string') return found
      const value = await load()
      await redis.call({ key, command: ['SET', key, value, 'PX', 60_000] })
      return value
    },
    async change(_, commit) {
      await remove()
      commit()
      await remove()
      await pause(DELAY_MS)
      await remove()
    },
    close: async () => {},
  }
}

function removingOnce(redis: RedisPort): Strategy {
  const cache = new Cache<string>(redis, { name: 'twice', ttlMs: 60_000 })
  return {
    getOrLoad: (id, load) => cache.getOrLoad(id, load),
    async change(id, commit) {
      commit()
      await cache.invalidate(id)
    },
    close: () => cache.close(),
  }
}

/** What is read after the last delete, if a load took longer than was hoped. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'old'
  const [reader, writer] = [open(), open()]
  await reader.getOrLoad('7', async () => {
    const read = title
    await writer.change('7', () => {
      title = 'new'
    })
    return read
  })
  await reader.close()
  return await writer.getOrLoad('7', async () => title)
}

export const naive = (redis: RedisPort) => race(() => deletingTwice(redis))

/** One removal is exact: it does not matter how long the load takes. */
export const ours = (redis: RedisPort) => race(() => removingOnce(redis))
