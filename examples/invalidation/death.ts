import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  change(id: string, commit: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Commit, then DEL. */
function deleting(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'death' }, '7')
  return {
    async getOrLoad(_, load) {
      const found = await redis.call({ key, command: ['GET', key] })
      if (typeof found === 'string') return found
      const value = await load()
      await redis.call({ key, command: ['SET', key, value, 'PX', 60_000] })
      return value
    },
    async change(_, commit) {
      await commit()
      await redis.call({ key, command: ['DEL', key] })
    },
    close: async () => {},
  }
}

function announcing(redis: RedisPort): Strategy {
  const cache = new Cache<string>(redis, { name: 'death', ttlMs: 60_000 })
  return {
    getOrLoad: (id, load) => cache.getOrLoad(id, load),
    change: (id, commit) => cache.mutate({ ids: [id] }, commit),
    close: () => cache.close(),
  }
}

/** What is read after the commit of a process that dies before it can say so: nothing that follows the commit ever runs. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'old'
  const [before, writer, after] = [open(), open(), open()]
  await before.getOrLoad('7', async () => title)
  await before.close()
  await new Promise<void>((committed) => {
    void writer.change('7', () => {
      title = 'new'
      committed()
      return new Promise(() => {})
    })
  })
  return await after.getOrLoad('7', async () => title)
}

export const naive = (redis: RedisPort) => race(() => deleting(redis))

/** Redis hears of the change before the database does, and nothing is stored until its intent ends. */
export const ours = (redis: RedisPort) => race(() => announcing(redis))
