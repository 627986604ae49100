import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  get(id: string): Promise<string | undefined>
  invalidate(id: string): Promise<void>
  close(): Promise<void>
}

const FILL = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', 60000)
return 1`

/** Who finds nothing leaves its name in the place of the value, and stores if that is still there. DEL takes it away. */
function leasing(redis: RedisPort, process: string): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'lease' }, '7')
  const lease = `lease of ${process}`
  return {
    async get() {
      const found = await redis.call({ key, command: ['GET', key] })
      return typeof found === 'string' && !found.startsWith('lease') ? found : undefined
    },
    async getOrLoad(id, load) {
      const found = await this.get(id)
      if (found !== undefined) return found
      await redis.call({ key, command: ['SET', key, lease, 'NX', 'PX', 10_000] })
      const value = await load()
      await redis.call({ key, command: ['EVAL', FILL, 1, key, lease, value] })
      return value
    },
    async invalidate() {
      await redis.call({ key, command: ['DEL', key] })
    },
    close: async () => {},
  }
}

/** What is read after a removal, if the load that it stopped finds the lease of the next one, which looks like its own. */
async function race(open: () => Strategy): Promise<string> {
  let title = 'old'
  const [one, two, reader] = [open(), open(), open()]
  let seen: string | undefined
  let next: Promise<string> | undefined
  const overtaken = one.getOrLoad('7', async () => {
    const read = title
    title = 'new'
    await reader.invalidate('7')
    await new Promise<void>((granted) => {
      next = two.getOrLoad('7', async () => {
        granted()
        await overtaken
        await one.close()
        seen = await reader.get('7')
        return title
      })
    })
    return read
  })
  await overtaken
  await next
  return seen ?? title
}

export const naive = (redis: RedisPort) => race(() => leasing(redis, 'web-1'))

/** A token is made for one load, and never granted twice. */
export const ours = (redis: RedisPort) =>
  race(() => new Cache<string>(redis, { name: 'lease', ttlMs: 60_000 }))
