import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  writeThrough(id: string, write: () => Promise<string>): Promise<string>
}

/** Write to the database, then SET. */
function setting(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'write' }, '7')
  return {
    async getOrLoad(_, load) {
      const found = await redis.call({ key, command: ['GET', key] })
      return typeof found === 'string' ? found : await load()
    },
    async writeThrough(_, write) {
      const value = await write()
      await redis.call({ key, command: ['SET', key, value, 'PX', 60_000] })
      return value
    },
  }
}

/** What is read after two writes, if the one that commits last reaches Redis first. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'first'
  const [one, two] = [open(), open()]
  await one.writeThrough('7', async () => {
    title = 'old'
    // This one has committed and is on its way to Redis, when all of the other write happens.
    await two.writeThrough('7', async () => {
      title = 'new'
      return title
    })
    return 'old'
  })
  return await two.getOrLoad('7', async () => title)
}

export const naive = (redis: RedisPort) => race(() => setting(redis))

/** Writes that overlap leave the entry empty: the order of their commits is not known here. */
export const ours = (redis: RedisPort) =>
  race(() => new Cache<string>(redis, { name: 'write', ttlMs: 60_000 }))
