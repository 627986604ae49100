import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, options: { readonly tags: [string] }, load: () => Promise<string>): Promise<string>
  invalidateTags(tags: [string]): Promise<void>
  close(): Promise<void>
}

/** The number of a tag, absent being nought, as it was before the load. */
function counting(redis: RedisPort): Strategy {
  const tagKey = keyOf({ namespace: redis.namespace, pattern: 'tag', name: 'naive' }, ['org:7'])
  const count = async () => Number((await redis.call({ key: tagKey, command: ['GET', tagKey] })) ?? 0)
  return {
    async getOrLoad(id, _, load) {
      const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'lost' }, id)
      const before = await count()
      const [title, stored] = [await redis.call({ key, command: ['HMGET', key, 'title', 'count'] })].flat()
      if (typeof title === 'string' && Number(stored) === before) return title
      const value = await load()
      await redis.call({ key, command: ['HSET', key, 'title', value, 'count', before] })
      return value
    },
    async invalidateTags() {
      await redis.call({ key: tagKey, command: ['INCR', tagKey] })
    },
    close: async () => {},
  }
}

/** What is read after a tag has changed and then been evicted: the number begins again, where the older entry has it from. */
async function race(redis: RedisPort, name: string, open: () => Strategy): Promise<string> {
  let title = 'old'
  const [reader, writer] = [open(), open()]
  const tags: [string] = ['org:7']
  await reader.getOrLoad('7', { tags }, async () => title)
  await reader.close()
  title = 'new'
  await writer.invalidateTags(tags)
  // Something else bears the tag as it is now, so that there is something to be lost.
  await writer.getOrLoad('8', { tags }, async () => title)
  const key = keyOf({ namespace: redis.namespace, pattern: 'tag', name }, tags)
  await redis.call({ key, command: ['DEL', key] })
  return await writer.getOrLoad('7', { tags }, async () => title)
}

export const naive = (redis: RedisPort) => race(redis, 'naive', () => counting(redis))

/** Versions are random: a tag that was lost has one that nothing bears. */
export const ours = (redis: RedisPort) =>
  race(redis, 'lost', () => new Cache<string>(redis, { name: 'lost', ttlMs: 60_000 }))
