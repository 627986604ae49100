import { setTimeout as pause } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

const TTL_MS = 2000
const LEASE_MS = 200

interface Strategy {
  getOrLoad(id: string, load: () => Promise<string>): Promise<string>
  close(): Promise<void>
}

/** GET, or load and SET with a TTL: nobody reads what is older than that, it says. */
function expiring(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'ttl' }, '7')
  return {
    async getOrLoad(_, load) {
      const found = await redis.call({ key, command: ['GET', key] })
      if (typeof found === 'string') return found
      const value = await load()
      await redis.call({ key, command: ['SET', key, value, 'PX', TTL_MS] })
      return value
    },
    close: async () => {},
  }
}

/** What is read more than a TTL after it was replaced: the time of an entry begins when it is stored, not when it was read. */
async function race(redis: RedisPort, open: () => Strategy): Promise<string> {
  let title = 'old'
  const slow = open()
  await slow.getOrLoad('7', async () => {
    const read = title
    title = 'new'
    await longerThan(TTL_MS + LEASE_MS, redis)
    return read
  })
  await slow.close()
  return await open().getOrLoad('7', async () => title)
}

/** Until Redis has forgotten what it was to keep for so long. */
async function longerThan(ms: number, redis: RedisPort): Promise<void> {
  const key = keyOf({ namespace: redis.namespace, pattern: 'witness', name: 'ttl' }, crypto.randomUUID())
  await redis.call({ key, command: ['SET', key, '', 'PX', ms] })
  while ((await redis.call({ key, command: ['EXISTS', key] })) === 1) await pause(20)
}

export const naive = (redis: RedisPort) => race(redis, () => expiring(redis))

/** A load may store until its lease ends: what is read is never older than `ttlMs` and `leaseMs`. */
export const ours = (redis: RedisPort) =>
  race(redis, () => new Cache<string>(redis, { name: 'ttl', ttlMs: TTL_MS, leaseMs: LEASE_MS }))
