import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { placeIn } from '../cache/probes.js'
import { TTL_MS } from '../cache/subject.js'
import { Held } from '../measuring/held.js'
import { traceOf } from '../measuring/traces.js'
import { MAX_STALENESS_MS } from './slotwise.js'
import type { TraceTasks } from './trace-child.js'

/** Hit ratios of a plain LRU of so many entries, and the best that any could have (Belady). */
const KNOWN = [
  { trace: 'web12', entries: 300, lru: 0.4901, optimal: 0.6683 },
  { trace: 'web12', entries: 1000, lru: 0.6473, optimal: 0.7775 },
  { trace: 'web12', entries: 3000, lru: 0.7649, optimal: 0.8424 },
  { trace: 'web07', entries: 300, lru: 0.419, optimal: 0.5588 },
  { trace: 'web07', entries: 1000, lru: 0.5041, optimal: 0.6358 },
  { trace: 'web07', entries: 2000, lru: 0.555, optimal: 0.6797 },
] as const

const PATIENT = { min: 10_000, max: 10_000 }

export type Replayed = (typeof KNOWN)[number] & { readonly requests: number; readonly ratio: number }

/** Each trace, one request after the other, through levels of several sizes; all of it lies in Redis. */
export async function replay(
  cluster: LocalCluster,
  port: RedisPort,
  folder: string,
  progress: (line: string) => void,
): Promise<readonly Replayed[]> {
  const replayed: Replayed[] = []
  for (const trace of ['web12', 'web07'] as const) {
    const { prefix: name } = placeIn(cluster)
    const ids = traceOf(folder, trace)
    // What Redis is too slow to lease is loaded and not stored, and would be missing.
    const filler = new Cache<string>(port, { name, ttlMs: TTL_MS, budgetMs: PATIENT })
    // Enough for some on every primary; no request is for them.
    const others = Array.from({ length: 40 }, (_, n) => `other-${n}`)
    await filler.warm(new Set([...ids, ...others]), { batchSize: 1000 }, async (missing) => missing)
    // What is stored behind the filler's back would count as changed.
    await filler.close()
    for (const known of KNOWN.filter((one) => one.trace === trace)) {
      progress(`replaying ${trace} through ${known.entries} entries`)
      // So long that no hit has to be proved again: what is measured is what is held, and not the machine.
      const local = { maxEntries: known.entries, maxStalenessMs: 60_000 }
      await using cache = new Cache<string>(port, { name, ttlMs: TTL_MS, local, budgetMs: PATIENT })
      // Every primary is heard: what is read of one that is not yet cannot be held.
      for (;;) {
        const { localHits } = cache.stats()
        await cache.getMany(others)
        if (cache.stats().localHits - localHits === others.length) break
        await sleep(10)
      }
      const before = cache.stats().localHits
      for (const id of ids) await cache.getOrLoad(id, async () => id)
      const ratio = (cache.stats().localHits - before) / ids.length
      replayed.push({ ...known, requests: ids.length, ratio })
    }
  }
  return replayed
}

export interface Shared {
  readonly processes: number
  readonly hasLevel: boolean
  readonly requests: number
  readonly localHits: number
  /** Calls of the database. */
  readonly loads: number
  /** Those among them because Redis did not answer within the budget. */
  readonly bypasses: number
  /** From the first request to the last answer. */
  readonly ms: number
}

export const SHARED_ENTRIES = 1000

/** One trace that several processes share, as behind a load balancer, beginning with nothing; with a level and without. */
export async function share(
  cluster: LocalCluster,
  folder: string,
  progress: (line: string) => void,
): Promise<readonly Shared[]> {
  const shared: Shared[] = []
  for (const processes of [1, 2, 5]) {
    for (const hasLevel of [true, false]) {
      progress(`web12 shared by ${processes}, ${hasLevel ? 'with a level' : 'Redis only'}`)
      const place = placeIn(cluster)
      const local = hasLevel ? { maxEntries: SHARED_ENTRIES, maxStalenessMs: MAX_STALENESS_MS } : undefined
      const held = await Promise.all(
        Array.from({ length: processes }, (_, part) =>
          Held.start<TraceTasks, string>(
            'a process of the trace',
            new URL('./trace-child.ts', import.meta.url),
            [JSON.stringify({ place, folder, local, part, of: processes })],
          ),
        ),
      )
      try {
        await Promise.all(held.map((one) => one.must('open', [])))
        const from = performance.now()
        const parts = await Promise.all(held.map((one) => one.must('run', [], 300_000)))
        const ms = performance.now() - from
        const sum = (of: (part: (typeof parts)[number]) => number) =>
          parts.reduce((total, part) => total + of(part), 0)
        shared.push({
          processes,
          hasLevel,
          requests: sum(({ requests }) => requests),
          localHits: sum(({ localHits }) => localHits),
          loads: sum(({ loads }) => loads),
          bypasses: sum(({ bypasses }) => bypasses),
          ms,
        })
      } finally {
        await Promise.all(held.map((one) => one.stop()))
      }
    }
  }
  return shared
}
