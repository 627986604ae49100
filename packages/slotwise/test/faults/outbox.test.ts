import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Cache } from '../../src/cache/index.js'
import {
  installOutbox,
  type Outbox,
  type OutboxOptions,
  outbox,
  watchSql,
} from '../../src/invalidation/index.js'
import { connect } from '../../src/ioredis/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { FaultProxy } from '../../src/testing/faults/index.js'
import { rounds } from '../support/budget.js'
import { type TestDatabase, testDatabase } from '../support/postgres.js'
import { steadyCluster } from '../support/steady-cluster.js'

const CHILD = fileURLToPath(new URL('../support/outbox-child.ts', import.meta.url))

let cluster: LocalCluster
let port: RedisPort
let items: Cache<number>
let database: TestDatabase

beforeAll(async () => {
  cluster = await steadyCluster()
  port = await connect({ ...cluster.connectOptions, namespace: 'faults', commandTimeoutMs: 500 })
  items = new Cache<number>(port, { name: 'items', ttlMs: 600_000, budgetMs: 5000 })
  database = await testDatabase()
  await installOutbox(database.pool)
  await database.pool.query('create table items (id int primary key, version int not null)')
  await database.pool.query('create table handed (n serial primary key, process int, item int, version int)')
  await database.pool.query(watchSql('items', [{ name: 'items', entry: '{id}', payload: ['version'] }]))
}, 60_000)
afterAll(async () => {
  await items.close()
  await database[Symbol.asyncDispose]()
  await port.close()
  await cluster.stop()
}, 60_000)
beforeEach(async () => {
  await database.pool.query('truncate items; truncate handed; delete from slotwise_outbox')
})

const ITEMS = 30
const ids = Array.from({ length: ITEMS }, (_, id) => id)

async function fill(): Promise<void> {
  await database.pool.query('insert into items select n, 0 from generate_series(0, $1::int) as n', [
    ITEMS - 1,
  ])
  await database.pool.query('delete from slotwise_outbox')
  for (const id of ids) await items.set(String(id), 0)
}

/** Changes items one by one until it is told to stop; how often each was changed. */
function writing() {
  const versions = new Map<number, number>()
  const state = { isOver: false }
  const done = (async () => {
    while (!state.isOver) {
      const id = Math.floor(Math.random() * ITEMS)
      const { rows } = await database.pool.query<{ version: number }>(
        'update items set version = version + 1 where id = $1 returning version',
        [id],
      )
      versions.set(id, rows[0]?.version ?? 0)
      await sleep(1)
    }
  })()
  return {
    stop: async () => {
      state.isOver = true
      await done
      return versions
    },
  }
}

interface Child {
  readonly process: ChildProcess
  isConsumer: boolean
}

function start(mode = ''): Child {
  const args = [database.url, cluster.connectOptions.nodes.join(), mode]
  const child = fork(CHILD, args, { execArgv: ['--import', 'tsx', '--conditions=slotwise-source'] })
  const started: Child = { process: child, isConsumer: false }
  child.on('message', (told: { isConsumer: boolean }) => (started.isConsumer = told.isConsumer))
  onTestFinished(() => void child.kill('SIGKILL'))
  return started
}

const waiting = async (): Promise<number> => {
  const { rows } = await database.pool.query<{ n: number }>('select count(*)::int as n from slotwise_outbox')
  return rows[0]?.n ?? NaN
}

const emptied = () =>
  vi.waitFor(async () => expect(await waiting()).toBe(0), { timeout: 20_000, interval: 20 })

/** Every version of every item was handed over, and no new one before those before it; older ones may have come again. */
async function expectInOrder(versions: ReadonlyMap<number, number>): Promise<number> {
  const { rows } = await database.pool.query<{ item: number; version: number }>(
    'select item, version from handed order by n',
  )
  const seen = new Map<number, number>()
  const wrong = rows.filter(({ item, version }) => {
    const newest = seen.get(item) ?? 0
    seen.set(item, Math.max(newest, version))
    return version > newest + 1
  })
  expect(wrong).toEqual([])
  expect([...versions].filter(([id, version]) => seen.get(id) !== version)).toEqual([])
  return rows.length
}

async function expectNothingOld(versions: ReadonlyMap<number, number>): Promise<void> {
  const values = await items.getMany(ids.map(String))
  expect(ids.filter((id) => versions.has(id) && values[id] !== undefined)).toEqual([])
}

describe('when the process that consumes', () => {
  it('is killed, again and again, another goes on where it was, and every change is told', async () => {
    await fill()
    const children = [start(), start()]
    const writer = writing()
    const kills = rounds(3, 30)
    for (let n = 0; n < kills; n++) {
      await vi.waitFor(() => expect(children.some(({ isConsumer }) => isConsumer)).toBe(true), 20_000)
      await sleep(100 + Math.random() * 200)
      const at = children.findIndex(({ isConsumer }) => isConsumer)
      children[at]?.process.kill('SIGKILL')
      children[at] = start()
    }
    const versions = await writer.stop()
    await emptied()
    const changes = [...versions.values()].reduce((sum, version) => sum + version, 0)
    const handed = await expectInOrder(versions)
    await expectNothingOld(versions)
    console.log(
      `outbox: ${kills} consumers killed, ${changes} changes, ${handed - changes} of them told again`,
    )
    expect(changes).toBeGreaterThan(50)
  })

  it('dies after it was told and before it said so, the same is told again, which harms nothing', async () => {
    await fill()
    await database.pool.query('update items set version = 1')
    const first = start('die-before-confirming')
    await vi.waitFor(() => expect(first.process.signalCode).toBe('SIGKILL'), 20_000)
    expect(await waiting()).toBe(ITEMS)
    await items.set('0', 1)
    const second = start()
    await emptied()
    const { rows } = await database.pool.query<{ process: number; item: number }>(
      'select process, item from handed order by n',
    )
    const by = (child: Child) =>
      rows.filter((row) => row.process === child.process.pid).map(({ item }) => item)
    expect(by(first)).toHaveLength(20)
    expect(by(second).toSorted((a, b) => a - b)).toEqual(ids)
    await expectNothingOld(new Map(ids.map((id) => [id, 1])))
  })

  it('stands still, another takes over when its time is over, and every change is told', async () => {
    await fill()
    const children = [start(), start()]
    await vi.waitFor(() => expect(children.some(({ isConsumer }) => isConsumer)).toBe(true), 20_000)
    const writer = writing()
    await sleep(100)
    const still = children.find(({ isConsumer }) => isConsumer)
    const other = children.find((child) => child !== still)
    still?.process.kill('SIGSTOP')
    const from = performance.now()
    await vi.waitFor(() => expect(other?.isConsumer).toBe(true), { timeout: 20_000, interval: 5 })
    console.log(
      `outbox: taken over ${(performance.now() - from).toFixed(0)} ms after the consumer stood still (500 ms)`,
    )
    await sleep(100)
    still?.process.kill('SIGCONT')
    const versions = await writer.stop()
    await emptied()
    await expectNothingOld(versions)
    const { rows } = await database.pool.query<{ item: number; version: number }>(
      'select item, version from handed',
    )
    const told = new Set(rows.map(({ item, version }) => `${item} ${version}`))
    const missing = [...versions].flatMap(([id, last]) =>
      Array.from({ length: last }, (_, n) => `${id} ${n + 1}`).filter((one) => !told.has(one)),
    )
    expect(missing).toEqual([])
  })
})

const ownerOf = (id: number) =>
  port.topology().ownerOf(slotOf(keyOf({ namespace: 'faults', pattern: 'cache', name: 'items' }, String(id))))

describe('while Redis', () => {
  const hold = async (options: Partial<OutboxOptions> = {}): Promise<Outbox> => {
    const consumer = outbox({ pool: database.pool, pollMs: 50, ...options }, port)
    onTestFinished(() => consumer.close())
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    return consumer
  }

  it('has one primary hang, what lives elsewhere is invalidated, and the rest as soon as it answers', async () => {
    await fill()
    const told: [number, number][] = []
    const errors: string[] = []
    const consumer = await hold({
      onError: (_, { operation }) => void errors.push(operation),
      handler: (events) => {
        for (const { entry, payload } of events)
          told.push([Number(entry?.join()), (payload as { version: number }).version])
      },
    })
    const isHung = (id: number) => ownerOf(id)?.port === cluster.nodes[0]?.port
    expect(ids.filter(isHung).length).toBeGreaterThan(2)
    await cluster.pause(0)
    try {
      for (let n = 0; n < 3; n++) await database.pool.query('update items set version = version + 1')
      const fine = ids.filter((id) => !isHung(id)).map(String)
      await vi.waitFor(
        async () => expect((await items.getMany(fine)).filter((value) => value !== undefined)).toEqual([]),
        { timeout: 10_000 },
      )
      await vi.waitFor(async () => expect(await waiting()).toBe(3 * ids.filter(isHung).length), 10_000)
      expect(told.some(([id]) => isHung(id))).toBe(false)
      // Once it is known that the primary does not answer, nobody else waits for it.
      await vi.waitFor(
        () =>
          expect(
            port.breaker(
              keyOf({ namespace: 'faults', pattern: 'cache', name: 'items' }, String(ids.find(isHung))),
            ).state,
          ).toBe('open'),
        10_000,
      )
      const [other = 0] = ids.filter((id) => !isHung(id))
      const lags: number[] = []
      for (let n = 0; n < 20; n++) {
        await items.set(String(other), 0)
        const from = performance.now()
        await database.pool.query('update items set version = version + 1 where id = $1', [other])
        await vi.waitFor(async () => expect(await items.get(String(other))).toBeUndefined(), { interval: 1 })
        lags.push(performance.now() - from)
      }
      lags.sort((a, b) => a - b)
      console.log(
        `outbox: one primary hangs, changes elsewhere told after ${lags[10]?.toFixed(0)} ms (median)`,
      )
      expect(lags[10]).toBeLessThan(400)
      expect((await consumer.lag()).rows).toBeGreaterThan(0)
      expect(new Set(errors)).toEqual(new Set(['invalidate']))
    } finally {
      await cluster.resume(0)
    }
    await emptied()
    await expectNothingOld(new Map(ids.map((id) => [id, 3])))
    for (const id of ids.filter(isHung))
      expect(told.filter(([one]) => one === id).map(([, version]) => version)).toEqual([1, 2, 3])
  })

  it('is away as a whole, changes wait in the table, and are told in order when it is back', async () => {
    await fill()
    const told = new Map<number, number[]>()
    await hold({
      handler: (events) => {
        for (const { entry, payload } of events) {
          const id = Number(entry?.join())
          told.set(id, [...(told.get(id) ?? []), (payload as { version: number }).version])
        }
      },
    })
    for (const at of cluster.nodes.keys()) await cluster.pause(at)
    const writer = writing()
    await sleep(1500)
    const versions = await writer.stop()
    expect(await waiting()).toBe([...versions.values()].reduce((sum, version) => sum + version, 0))
    for (const at of cluster.nodes.keys()) await cluster.resume(at)
    const from = performance.now()
    await emptied()
    console.log(`outbox: caught up ${(performance.now() - from).toFixed(0)} ms after Redis was back`)
    await expectNothingOld(versions)
    for (const [id, last] of versions)
      expect(told.get(id)).toEqual(Array.from({ length: last }, (_, n) => n + 1))
  })
})

it('what comes after an event that waits, and has its key, waits as well', async () => {
  await fill()
  const told: unknown[] = []
  const consumer = outbox(
    {
      pool: database.pool,
      pollMs: 50,
      batchSize: 2,
      handler: (events) => void told.push(...events.map(({ payload }) => payload)),
    },
    port,
  )
  onTestFinished(() => consumer.close())
  await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
  const hung = ids.find((id) => ownerOf(id)?.port === cluster.nodes[0]?.port)
  await cluster.pause(0)
  try {
    await database.pool.query(
      `insert into slotwise_outbox (key, payload, name, entry) values
       ('chain', '1', 'items', array[$1]), ('chain', '2', null, null), ('other', '3', null, null),
       ('chain', '4', null, null), ('other', '5', null, null)`,
      [String(hung)],
    )
    await vi.waitFor(() => expect(told).toEqual([3, 5]), 10_000)
    await sleep(300)
    expect(told).toEqual([3, 5])
  } finally {
    await cluster.resume(0)
  }
  await emptied()
  expect(told).toEqual([3, 5, 1, 2, 4])
})

describe('when the network to Postgres', () => {
  it('swallows everything, the consumer gives up, and goes on when it is mended', async () => {
    await fill()
    const { hostname, port: behind } = new URL(database.url)
    await using proxy = await FaultProxy.open({ host: hostname, port: Number(behind) })
    const url = new URL(database.url)
    url.port = String(proxy.port)
    const pool = database.another({ connectionString: url.href })
    const errors: string[] = []
    const consumer = outbox(
      {
        pool,
        pollMs: 50,
        takeoverMs: 300,
        postgresTimeoutMs: 400,
        onError: ({ message }) => void errors.push(message),
      },
      port,
    )
    onTestFinished(() => consumer.close())
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    proxy.drop()
    const standby = outbox({ pool: database.pool, pollMs: 50 }, port)
    onTestFinished(() => standby.close())
    await database.pool.query('update items set version = 1')
    await emptied()
    expect(standby.isConsumer).toBe(true)
    await expectNothingOld(new Map(ids.map((id) => [id, 1])))
    await vi.waitFor(() => expect([errors.length > 0, consumer.isConsumer]).toEqual([true, false]), 5000)
    await standby.close()
    await proxy.heal()
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true), 20_000)
    await items.set('1', 0)
    await database.pool.query('update items set version = 2')
    await emptied()
    expect(await items.get('1')).toBeUndefined()
  })
})
