import { Cache } from 'slotwise/cache'
import type { RedisPort } from 'slotwise/redis'

/** What is read once a replica of the database has caught up, if somebody had loaded from it before. */
async function race(
  open: () => Cache<string>,
  change: (cache: Cache<string>, commit: () => void) => Promise<void>,
): Promise<string> {
  let title = 'old'
  let replica = title
  const [reader, writer] = [open(), open()]
  await change(writer, () => {
    title = 'new'
  })
  // It begins after the removal, so nothing of Redis says that it is old; only the database could.
  await reader.getOrLoad('7', async () => replica)
  await reader.close()
  replica = title
  return await writer.getOrLoad('7', async () => replica)
}

const opened = (redis: RedisPort, name: string) => () => new Cache<string>(redis, { name, ttlMs: 60_000 })

/** This is ours, too: leases do not help against it. */
export const naive = (redis: RedisPort) =>
  race(opened(redis, 'lag'), async (cache, commit) => {
    commit()
    await cache.invalidate('7')
  })

/** Nothing is stored until the replicas have had so long to catch up. */
export const ours = (redis: RedisPort) =>
  race(opened(redis, 'lag-known'), (cache, commit) =>
    cache.mutate({ ids: ['7'], replicaLagMs: 10_000 }, commit),
  )
