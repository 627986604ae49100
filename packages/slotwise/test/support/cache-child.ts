import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from '../../src/cache/index.js'
import { InvalidationPendingError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { SeedCache } from '../cluster/cache/seed.js'
import { marking } from './cache-marks.js'
import { SOAK, type Tally, type Task } from './cache-task.js'
import { sharedNow, Versions } from './versions.js'

await work(JSON.parse(process.argv[2] ?? '{}') as Task)

async function work({ nodes, file, rows, own, processes, version: whose }: Task): Promise<void> {
  const versions = new Versions(file)
  const port = await connect({ nodes, namespace: SOAK.namespace })
  const cache = new Cache<number>(
    marking(port, (row) => versions.version(row)),
    { name: SOAK.name, ttlMs: 30_000, leaseMs: 2000, budgetMs: 200 },
  )
  const article = new SeedCache(port)
  const tally: Tally = {
    reads: 0,
    soon: 0,
    duringFaults: 0,
    changes: 0,
    pending: 0,
    failures: 0,
    hows: {},
    less: [],
  }
  const report = setInterval(() => process.send?.({ ...tally, isFinal: false }), 200)

  const load = (row: number) => async (): Promise<number> => {
    const version = versions.version(row)
    // Now and then a load takes its time between the database and Redis.
    if (Math.random() < 0.2) await sleep(Math.random() * 4)
    return version
  }
  const read = async (): Promise<void> => {
    const row = Math.random() < 0.2 ? versions.latest : Math.floor(Math.random() * rows)
    const from = sharedNow()
    const { floor, at } = versions.promised(row)
    if (from - at < 10) tally.soon++
    if (versions.isFaulty) tally.duringFaults++
    const { value, how } = whose === 'ours' ? await cache.fetch(String(row), load(row)) : await plainly(row)
    tally.reads++
    tally.hows[how] = (tally.hows[how] ?? 0) + 1
    if (value < floor)
      tally.less.push({ row, seen: value, floor, promisedAt: at, from, to: sharedNow(), how })
  }
  const plainly = async (row: number): Promise<{ value: number; how: string }> => {
    const value = await article.getOrLoad(String(row), async () => String(await load(row)()))
    return { value: Number(value), how: 'the article' }
  }
  const tell = async (id: string, commit: () => Promise<number>): Promise<void> => {
    const dice = Math.random()
    if (whose === 'article') {
      if (dice < 0.6) await commit().then(() => article.invalidate(id))
      else await article.writeThrough(id, async () => String(await commit()))
    } else if (dice < 0.6) {
      await commit()
      await cache.invalidate(id, { deadlineMs: 4000 })
    } else if (dice < 0.8) await cache.writeThrough(id, { deadlineMs: 4000 }, commit)
    else await cache.mutate({ ids: [id], deadlineMs: 4000 }, commit)
  }
  const change = async (): Promise<void> => {
    const row = own + processes * Math.floor(Math.random() * (rows / processes))
    const id = String(row)
    let version = 0
    const commit = async (): Promise<number> => {
      if (Math.random() < 0.2) await sleep(Math.random() * 3)
      return (version = versions.commit(row))
    }
    tally.changes++
    try {
      await tell(id, commit)
      versions.promise(row, version)
    } catch (error) {
      if (!(error instanceof InvalidationPendingError)) throw error
      tally.pending++
      void error.settled.then((done) => done && versions.promise(row, version))
    }
  }
  const loop = async (act: () => Promise<void>, pauseMs: number): Promise<void> => {
    while (!versions.isOver) {
      await act().catch(() => tally.failures++)
      if (pauseMs > 0) await sleep(pauseMs * Math.random())
    }
  }
  await Promise.all([
    ...Array.from({ length: 32 }, () => loop(read, 0)),
    ...Array.from({ length: 3 }, () => loop(change, 30)),
  ])
  clearInterval(report)
  await cache.close()
  await port.close()
  versions.close()
  process.send?.({ ...tally, isFinal: true }, () => process.disconnect())
}
