import { Cache } from 'slotwise/cache'
import { keyOf, type RedisPort } from 'slotwise/redis'

interface Row {
  readonly title: string
  readonly version: number
}

interface Strategy {
  get(id: string): Promise<string | undefined>
  /** Loads, and stores what it got. */
  fill(id: string, load: () => Promise<Row>): Promise<void>
  invalidate(id: string): Promise<void>
}

const SET_IF_NEWER = `
if tonumber(redis.call('HGET', KEYS[1], 'version') or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'title', ARGV[1], 'version', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], 60000)`

/** The version of the row decides: an older one never replaces a newer one. */
function comparing(redis: RedisPort): Strategy {
  const key = keyOf({ namespace: redis.namespace, pattern: 'naive', name: 'version' }, '7')
  return {
    async get() {
      const found = await redis.call({ key, command: ['HGET', key, 'title'] })
      return typeof found === 'string' ? found : undefined
    },
    async fill(_, load) {
      const { title, version } = await load()
      await redis.call({ key, command: ['EVAL', SET_IF_NEWER, 1, key, title, version] })
    },
    async invalidate() {
      await redis.call({ key, command: ['DEL', key] })
    },
  }
}

/** The token of a read decides: whatever happens to the entry after that read takes it away, a removal as well. */
function marking(redis: RedisPort): Strategy {
  const cache = new Cache<string>(redis, { name: 'version', ttlMs: 60_000 })
  return {
    get: (id) => cache.get(id),
    async fill(id, load) {
      const { token } = await cache.read(id)
      const { title } = await load()
      await cache.set(id, title, { token })
    },
    invalidate: (id) => cache.invalidate(id),
  }
}

/** What is read after a removal, if the version with which an older one would compare was removed with the entry. */
async function race(cache: Strategy): Promise<string> {
  let row: Row = { title: 'old', version: 1 }
  await cache.fill('7', async () => {
    const read = row
    row = { title: 'new', version: 2 }
    await cache.invalidate('7')
    return read
  })
  return (await cache.get('7')) ?? row.title
}

export const naive = (redis: RedisPort) => race(comparing(redis))
export const ours = (redis: RedisPort) => race(marking(redis))
