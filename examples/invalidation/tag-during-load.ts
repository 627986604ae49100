import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, options: { readonly tags: [string] }, load: () => Promise<string>): Promise<string>
  invalidateTags(tags: [string]): Promise<void>
  close(): Promise<void>
}

/** A tag is a number that each change raises; an entry is stored with it, and is found while it is still the same. */
function counting(redis: RedisPort): Strategy {
  const space = { namespace: redis.namespace, pattern: 'naive', name: 'during' }
  const countOf = async (tag: string) => {
    const key = keyOf(space, ['tag', tag])
    return Number((await redis.call({ key, command: ['GET', key] })) ?? 0)
  }
  return {
    async getOrLoad(id, { tags: [tag] }, load) {
      const key = keyOf(space, id)
      const [title, count] = [await redis.call({ key, command: ['HMGET', key, 'title', 'count'] })].flat()
      if (typeof title === 'string' && Number(count) === (await countOf(tag))) return title
      const value = await load()
      const now = await countOf(tag)
      await redis.call({ key, command: ['HSET', key, 'title', value, 'count', now] })
      return value
    },
    async invalidateTags([tag]) {
      const key = keyOf(space, ['tag', tag])
      await redis.call({ key, command: ['INCR', key] })
    },
    close: async () => {},
  }
}

/** What is read after a tag has changed, if a load had read before the change and is stored with the number after it. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'old'
  const [reader, writer] = [open(), open()]
  const tags: [string] = ['org:7']
  await reader.getOrLoad('7', { tags }, async () => {
    const read = title
    title = 'new'
    await writer.invalidateTags(tags)
    return read
  })
  await reader.close()
  return await writer.getOrLoad('7', { tags }, async () => title)
}

export const naive = (redis: RedisPort) => race(() => counting(redis))

/** An entry bears what its tags were before its load began. */
export const ours = (redis: RedisPort) =>
  race(() => new Cache<string>(redis, { name: 'during', ttlMs: 60_000 }))
