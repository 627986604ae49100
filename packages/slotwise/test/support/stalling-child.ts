import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from '../../src/cache/index.js'
import { connect } from '../../src/ioredis/index.js'
import type { StallOrder, StallReport, StallTask } from './stalling.js'

// A process that holds entries, then stands still for as long as it is told to, and reads them before anything else.
const { nodes, namespace, levels, ids } = JSON.parse(process.argv[2] ?? '{}') as StallTask
const port = await connect({ nodes, namespace, commandTimeoutMs: 500 })
const caches = levels.map(({ name, maxStalenessMs }) => {
  const local = { maxEntries: 100, maxStalenessMs }
  return { name, cache: new Cache<string>(port, { name, ttlMs: 120_000, budgetMs: 200, local }) }
})
const load = () => 'new'

/** Until all of them are served from here. */
async function hold(): Promise<void> {
  const isHeld = async (cache: Cache<string>, id: string): Promise<boolean> => {
    const { localHits } = cache.stats()
    await cache.getOrLoad(id, load)
    return cache.stats().localHits > localHits
  }
  for (const { cache } of caches) for (const id of ids) while (!(await isHeld(cache, id))) await sleep(5)
}

function stall(ms: number, untilFile: string): number {
  const from = performance.now()
  while (performance.now() - from < ms && !existsSync(untilFile));
  return performance.now() - from
}

/** All of them are asked for before anything that has arrived meanwhile is read. */
async function read(): Promise<StallReport['reads']> {
  const reads = caches.flatMap(({ name, cache }) =>
    ids.map((id) => {
      const { localHits } = cache.stats()
      const value = cache.getOrLoad(id, load)
      return { level: name, isLocal: cache.stats().localHits > localHits, value }
    }),
  )
  return await Promise.all(reads.map(async (one) => ({ ...one, value: await one.value })))
}

const tell = (report: Partial<StallReport>) => new Promise((sent) => process.send?.(report, sent))

process.on('message', ({ stallMs, untilFile = '' }: StallOrder) => {
  void (async () => {
    await hold()
    await tell({ isHeld: true })
    if (stallMs === 0) return
    const stoodStillMs = stall(stallMs, untilFile)
    await tell({ stoodStillMs, reads: await read() })
  })()
})
process.once('disconnect', () => process.exit())
