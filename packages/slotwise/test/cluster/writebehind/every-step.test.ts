import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { DeadLetters } from '../../../src/writebehind/dead-letters.js'
import { Flusher } from '../../../src/writebehind/flusher.js'
import { postgresWriter, WriteBehind } from '../../../src/writebehind/index.js'
import { Journal } from '../../../src/writebehind/journal.js'
import { partitionKeys } from '../../../src/writebehind/partition-keys.js'
import type { TestDatabase } from '../../support/postgres.js'
import { audit, wentBack } from '../../support/write-behind-table.js'
import { Mortal, type Stop } from './mortal.js'
import { closePlace, openPlace } from './place.js'

interface Post {
  readonly title: string | null
  readonly views: number
}

let port: RedisPort
let database: TestDatabase
let pool: pg.Pool
beforeAll(async () => {
  ;({ port, database } = await openPlace())
  pool = database.another({ max: 60 })
}, 60_000)
afterAll(async () => {
  await closePlace({ port, database })
})

/** All that a flusher does, from its start over two batches to its end, in the order of it. */
const EFFECTS = `
  enrol 1, acquire 1, connect 1, begin 1, claim 1, commit 1,
  take 1, connect 2, begin 2, select 1, position 1, upsert 1, delete 1, commit 2, trim 1,
  take 2, connect 3, begin 3, select 2, position 2, upsert 2, delete 2, commit 3, trim 2,
  take 3, extend 1, release 1, leave 1`
  .split(',')
  .map((effect) => effect.trim())

const OF_THE_FLUSHER = EFFECTS.filter((effect) => !/^(enrol|acquire|extend|release|leave)/.test(effect))

/** A table, what it should hold, and how processes come to it. */
async function stage() {
  const table = `posts_${randomUUID().slice(0, 8)}`
  await database.pool.query(
    `create table ${table} (id text primary key, title text, views bigint not null default 0)`,
  )
  await audit(database.pool, table, 'title')
  const writerOf = (process: Mortal) =>
    postgresWriter<Post>(process.pool(pool), {
      table,
      name: table,
      columns: ({ value: { title, views } }) => ({ title, views }),
      timeoutMs: 400,
    })
  const enter = (process: Mortal) =>
    new WriteBehind<Post>(process.port(port), {
      name: table,
      partitions: 1,
      batchSize: 4,
      flushIntervalMs: 10,
      leaseMs: 300,
      writeBatch: writerOf(process),
      load: async (id) => {
        const sql = `select title, views::int from ${table} where id = $1`
        return (await database.pool.query<Post>(sql, [id])).rows[0]
      },
    })
  /** A flusher alone, which nobody tells that its lease is over. */
  const unaware = (process: Mortal) => {
    const through = process.port(port)
    const space = { namespace: port.namespace, pattern: 'writebehind', name: table }
    const [key = fail()] = partitionKeys(space, 1)
    const bounds = { lines: 1000, bytes: 1_000_000, markMs: 60_000 }
    return new Flusher<Post>(new Journal(through, key, bounds), 0, {
      writer: writerOf(process),
      letters: new DeadLetters(through, key),
      evidence: { taken: 0 },
      writeTimeoutMs: 30_000,
      name: table,
      lease: 1n,
      batchSize: { min: 4, max: 4, start: 4, targetMs: 250 },
      flushIntervalMs: 10,
      safety: { replicas: 0, fsync: false },
      report: () => {},
    })
  }
  const clients = enter(new Mortal())
  const model = new Map<string, Post>()
  let version = 0
  /** `a` is written, `-a` deleted, `+a` counted, one after the other. */
  const change = async (...ids: readonly string[]) => {
    for (const given of ids) {
      const id = given.replace(/^[-+]/, '')
      const { title = null, views = 0 } = model.get(id) ?? {}
      if (given.startsWith('-')) {
        expect(await clients.delete(id)).toMatchObject({ accepted: true })
        model.delete(id)
      } else if (given.startsWith('+')) {
        const answer = await clients.increment(id, 'views', 1, { idempotencyKey: randomUUID() })
        expect(answer).toMatchObject({ accepted: true, value: views + 1 })
        model.set(id, { title, views: views + 1 })
      } else {
        const post = { title: String(++version), views }
        expect(await clients.write(id, post)).toMatchObject({ accepted: true })
        model.set(id, post)
      }
    }
  }
  /** What the table holds, and which rows were written over with something older. */
  const found = async () => {
    const sql = `select id, title, views::int from ${table} order by id`
    const { rows } = await database.pool.query<Post & { id: string }>(sql)
    return { rows, backs: await wentBack(database.pool, table) }
  }
  const wanted = () => ({
    rows: [...model].map(([id, post]) => ({ id, ...post })).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    backs: [],
  })
  return { enter, unaware, clients, change, found, wanted }
}

function fail(): never {
  throw new Error('there is no such partition')
}

const until = (isSo: () => boolean) =>
  vi.waitFor(() => isSo() || Promise.reject(new Error('not yet')), { timeout: 10_000, interval: 5 })

/** Lets a flusher run over two batches up to its end, or to where it stops. */
async function untilItStops(
  process: Mortal,
  flusher: WriteBehind<Post>,
): Promise<{ readonly closed: Promise<void> | undefined }> {
  flusher.start()
  await until(
    () => process.isStopped || ['take 3', 'extend 1'].every((effect) => process.effects.includes(effect)),
  )
  if (process.isStopped) return { closed: undefined }
  const closed = flusher.close()
  await Promise.race([process.stopped, closed])
  return { closed }
}

/** A flusher stops where it is told, others write, another takes over and writes everything. */
async function stopped(stop: Stop) {
  const own = await stage()
  const [first, second] = [new Mortal(stop), new Mortal()]
  const { change, clients } = own
  await change('a', 'b', '-d', '+n', '+n', 'c', '-b', 'a', '+n', '-a')
  const { closed } = await untilItStops(first, own.enter(first))
  await first.stopped
  await change('a', '-c', '+n', 'd', '+e', '+n')
  const taking = own.enter(second)
  taking.start()
  await clients.drain()
  expect(await own.found()).toEqual(own.wanted())
  return { ...own, first, second, taking, closed }
}

describe('a flusher that', () => {
  it('is not stopped does all of this, and nothing else', async () => {
    const own = await stage()
    const process = new Mortal()
    await own.change('a', 'b', '-d', '+n', '+n', 'c', '-b', 'a', '+n', '-a')
    await untilItStops(process, own.enter(process))
    expect(await own.found()).toEqual(own.wanted())
    const kinds = (effects: readonly string[]) =>
      new Set(effects.map((effect) => effect.replace(/ \d+$/, '')))
    expect(kinds(process.effects)).toEqual(kinds(EFFECTS))
    expect(EFFECTS.filter((effect) => !process.effects.includes(effect))).toEqual([])
  })

  it.concurrent.each(EFFECTS)(
    'dies before %s leaves nothing unwritten, and nothing twice',
    async (before) => {
      const { change, clients, taking, found, wanted } = await stopped({ before, kind: 'dies' })
      await change('b', '-d', '+n', '+e')
      await clients.drain()
      expect(await found()).toEqual(wanted())
      await taking.close()
    },
  )

  it.concurrent.each(EFFECTS)(
    'stands still before %s, and goes on when another has, changes nothing',
    async (before) => {
      const { change, clients, taking, found, wanted, first, second, closed } = await stopped({
        before,
        kind: 'pauses',
      })
      const letGo = second.hold()
      await change('b', 'a', '-d', '+n', '+e')
      const seen = first.effects.length
      first.resume()
      const rounds = () => first.effects.slice(seen).filter((effect) => effect.startsWith('enrol')).length
      await Promise.race([
        closed ?? new Promise(() => {}),
        until(() => rounds() >= 2 && first.underWay === 0),
      ])
      letGo()
      await clients.drain()
      expect(await found()).toEqual(wanted())
      await taking.close()
    },
  )

  it.concurrent.each(OF_THE_FLUSHER)(
    'stands still before %s, and does not know that its time is over, changes nothing',
    async (before) => {
      const { unaware, enter, change, clients, found, wanted } = await stage()
      const [first, second] = [new Mortal({ before, kind: 'pauses' }), new Mortal()]
      await change('a', 'b', '-d', '+n', '+n', 'c', '-b', 'a', '+n', '-a')
      const stop = new AbortController()
      let isOver = false
      const ended = unaware(first)
        .run(stop.signal)
        .then(() => (isOver = true))
      await first.stopped
      await change('a', '-c', '+n', 'd', '+e', '+n')
      await using taking = enter(second)
      taking.start()
      await clients.drain()
      expect(await found()).toEqual(wanted())
      const letGo = second.hold()
      await change('b', 'a', '-d', '+n', '+e')
      const seen = first.effects.length
      first.resume()
      await until(() => isOver || (first.effects.length > seen && first.underWay === 0))
      letGo()
      await clients.drain()
      expect(await found()).toEqual(wanted())
      await change('-b', 'd', '+n')
      await clients.drain()
      expect(await found()).toEqual(wanted())
      stop.abort()
      await ended
    },
  )
})
