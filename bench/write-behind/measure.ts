import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { postgresWriter, WriteBehind, type WriteBehindOptions, writeBehindSql } from 'slotwise/writebehind'
import { inTurns, quantile, rateOf } from '../measuring/rates.js'
import { makeTable, type Row, rowOf, writeMany, writeOne } from './rows.js'

/** What every measurement stands on. */
export interface Stand {
  readonly cluster: LocalCluster
  readonly port: RedisPort
  readonly pool: Pool
  readonly progress: (line: string) => void
}

type Value = Omit<Row, 'id'>
type Options = Partial<Omit<WriteBehindOptions<Value>, 'name' | 'writeBatch'>>

const IN_FLIGHT = 64
const IDS = 10_000
const ROOM = { highWater: 1_000_000, maxBytes: 512 * 2 ** 20 }
let instances = 0

/** One that writes to a table of its own. */
async function ours({ port, pool }: Stand, options: Options = {}) {
  const name = `bench-${++instances}`
  const table = `rows_${instances}`
  await pool.query(writeBehindSql())
  await makeTable(pool, table)
  let rows = 0
  const writer = postgresWriter<Value>(pool, {
    name,
    table,
    columns: ({ value: { n, note } }) => ({ n, note }),
  })
  const counted = {
    ...writer,
    write: async (...[some, context]: Parameters<typeof writer.write>) => {
      await writer.write(some, context)
      rows += some.length
    },
  }
  const writes = new WriteBehind<Value>(port, {
    name,
    writeBatch: counted,
    ...ROOM,
    ...options,
    onError: console.error,
  })
  await writes.ready()
  return {
    name,
    table,
    writes,
    rows: () => rows,
    write: async ({ id, ...value }: Row) => {
      const { accepted } = await writes.write(id, value)
      if (!accepted) throw new Error('a change was refused')
    },
  }
}

const changeOf = (i: number): Row => rowOf(`row-${(i * 7919) % IDS}`, i)

/** Changes a second, so many under way: accepted by us, added to a queue, written one by one. */
export async function measureAccepting(stand: Stand, rounds: number, ms: number) {
  const { cluster, pool } = stand
  const mine = await ours(stand)
  // One for each primary.
  const fewer = await ours(stand, { partitions: 3 })
  const { bullmq } = await import('./peers/bullmq.js')
  const queue = await bullmq(cluster.nodes, 'bench')
  await makeTable(pool, 'one_by_one')
  const measurements = [
    () => rateOf((i) => mine.write(changeOf(i)), IN_FLIGHT, ms),
    () => rateOf((i) => fewer.write(changeOf(i)), IN_FLIGHT, ms),
    () => rateOf((i) => queue.add(changeOf(i)), IN_FLIGHT, ms),
    () => rateOf((i) => writeOne(pool, 'one_by_one', changeOf(i)), IN_FLIGHT, ms),
  ]
  try {
    for (const warmUp of measurements) await warmUp()
    const [accepted = [], byThree = [], queued = [], oneByOne = []] = await inTurns(rounds, measurements)
    const perSecond = (some: readonly { readonly perSecond: number }[]) => some.map((one) => one.perSecond)
    return {
      accepted: perSecond(accepted),
      byThree: perSecond(byThree),
      queued: perSecond(queued),
      oneByOne: perSecond(oneByOne),
    }
  } finally {
    await mine.writes.close()
    await fewer.writes.close()
    await queue.close()
  }
}

const SIZES = [100, 500, 1000, 2000] as const
const WRITERS = [1, 2, 4, 8] as const

/** Rows a second from journals to the table, and of the same rows by statements of the best size, as many at once as is best. */
export async function measureFlushing(stand: Stand, rounds: number, count: number) {
  const { pool, progress } = stand
  await makeTable(pool, 'batched')
  let offset = 0
  const plain = async (size: number, writers: number): Promise<number> => {
    const rows = Array.from({ length: count }, (_, i) => rowOf(`row-${offset + i}`, i))
    offset += count
    const batches = Array.from({ length: Math.ceil(count / size) }, (_, i) =>
      rows.slice(i * size, (i + 1) * size),
    )
    const from = performance.now()
    const next = batches.values()
    const worker = async () => {
      for (const batch of next) await writeMany(pool, 'batched', batch)
    }
    await Promise.all(Array.from({ length: writers }, worker))
    return (count / (performance.now() - from)) * 1000
  }
  progress('looking for the best plain batches')
  let best = { size: 0, writers: 0, perSecond: 0 }
  for (const size of SIZES) {
    for (const writers of WRITERS) {
      const perSecond = Math.max(await plain(size, writers), await plain(size, writers))
      if (perSecond > best.perSecond) best = { size, writers, perSecond }
    }
  }
  const flushing = async (): Promise<number> => {
    const mine = await ours(stand, { batchSize: 1000 })
    await all(count, (i) => mine.write(rowOf(`row-${i}`, i)))
    const from = performance.now()
    mine.writes.start()
    await mine.writes.drain()
    const perSecond = (count / (performance.now() - from)) * 1000
    await mine.writes.close()
    if (mine.rows() !== count) throw new Error(`${mine.rows()} rows were written, and not ${count}`)
    return perSecond
  }
  progress('flushing, in turns with plain batches')
  const [flushed = [], batched = []] = await inTurns(rounds, [flushing, () => plain(best.size, best.writers)])
  return { best, flushed, batched }
}

/** So many calls, as many under way as ever. */
async function all(count: number, call: (i: number) => Promise<unknown>): Promise<void> {
  const next = Array.from({ length: count }, (_, i) => i).values()
  const worker = async () => {
    for (const i of next) await call(i)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}

/** How long what waits has waited, with half of the changes that it can take and write at the same time. */
export async function measureLag(stand: Stand, ms: number, flushIntervalMs: number) {
  const mine = await ours(stand, { flushIntervalMs, batchSize: 1000 })
  mine.writes.start()
  const peak = await rateOf((i) => mine.write(changeOf(i)), IN_FLIGHT, ms)
  await mine.writes.drain()
  const perMs = peak.perSecond / 2 / 1000
  const lags: number[] = []
  const from = performance.now()
  let sent = 0
  let failure: Error | undefined
  const sampling = (async () => {
    while (performance.now() - from < ms) {
      lags.push((await mine.writes.lag()).ms)
      await sleep(20)
    }
  })()
  while (performance.now() - from < ms) {
    for (const due = perMs * (performance.now() - from); sent < due; sent++) {
      mine
        .write(changeOf(sent))
        .catch((error: unknown) => (failure = error instanceof Error ? error : new Error(String(error))))
    }
    await sleep(1)
  }
  await sampling
  await mine.writes.drain()
  await mine.writes.close()
  if (failure !== undefined) throw failure
  return {
    peak: peak.perSecond,
    perSecond: (sent / ms) * 1000,
    p50: quantile(lags, 0.5),
    p99: quantile(lags, 0.99),
  }
}

/** Bytes of Redis for each change that waits, of different rows and of one row. */
export async function measureMemory(stand: Stand, count: number) {
  const { port } = stand
  const bytesWith = async (idOf: (i: number) => string) => {
    const mine = await ours(stand)
    await all(count, (i) => mine.write(rowOf(idOf(i), i)))
    const found = await Promise.all(
      (await port.onEachPrimary(['KEYS', `*:writebehind:${mine.name}:*`])).map(async ({ node, result }) => {
        const keys =
          result.status === 'fulfilled' && Array.isArray(result.value) ? result.value.map(String) : []
        const sizes = keys.map((key) => port.onNode(node.id, ['MEMORY', 'USAGE', key, 'SAMPLES', '0']))
        return (await Promise.all(sizes)).reduce<number>((sum, size) => sum + Number(size), 0)
      }),
    )
    await mine.writes.close()
    return found.reduce((sum, size) => sum + size, 0) / count
  }
  const value = JSON.stringify(rowOf('row-10000', 10_000)).length
  return {
    value,
    different: await bytesWith((i) => `row-${i}`),
    same: await bytesWith((i) => `row-${i % 10}`),
  }
}

/** How many rows are written of a stream of changes in which few ids come often. */
export async function measureSkew(stand: Stand, ids: readonly string[]) {
  const mine = await ours(stand, { batchSize: 1000 })
  mine.writes.start()
  const from = performance.now()
  await all(ids.length, (i) => mine.write(rowOf(ids[i] ?? '', i)))
  const ms = performance.now() - from
  await mine.writes.drain()
  await mine.writes.close()
  return {
    accepted: ids.length,
    perSecond: (ids.length / ms) * 1000,
    ids: new Set(ids).size,
    rows: mine.rows(),
  }
}
