import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `rare-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const MAX_STALENESS_MS = 400

it.each(['tracking', 'log'] as const)(
  'what is read a few times a second stays proved, whichever node or log tells of it: %s',
  async (coherence) => {
    await using cache = new Cache<string>(port, {
      name: `c${randomUUID().slice(0, 8)}`,
      ttlMs: 60_000,
      coherence,
      local: { maxEntries: 100, maxStalenessMs: MAX_STALENESS_MS },
    })
    const ids = Array.from({ length: 30 }, (_, n) => `${n}`)
    for (const id of ids) await cache.set(id, 'value')
    const read = async (): Promise<number> => {
      const { localHits } = cache.stats()
      await cache.getMany(ids)
      return cache.stats().localHits - localHits
    }
    let since = performance.now()
    const provedForMs = async (): Promise<number> => {
      if ((await read()) < ids.length) since = performance.now()
      return performance.now() - since
    }
    // Fewer times than proofs are asked for, so that nobody gets one by another's wish.
    const interval = MAX_STALENESS_MS / 6
    await expect.poll(provedForMs, { interval, timeout: 10_000 }).toBeGreaterThan(4 * MAX_STALENESS_MS)
  },
)
