import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { Cache } from '../../../../src/cache/index.js'
import {
  installOutbox,
  type Outbox,
  type OutboxEvent,
  type OutboxOptions,
  outbox,
  purging,
  TagVersions,
  watchSql,
} from '../../../../src/invalidation/index.js'
import { connect } from '../../../../src/ioredis/index.js'
import { keyOf, type RedisPort } from '../../../../src/redis/index.js'
import { rounds } from '../../../support/budget.js'
import { heardOn } from '../../../support/events.js'
import { failingWhenLent, type TestDatabase, testDatabase } from '../../../support/postgres.js'

let database: TestDatabase
let port: RedisPort
let items: Cache<number | null>
let pages: TagVersions

beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: 'outbox' })
  items = new Cache<number | null>(port, { name: 'items', ttlMs: 600_000, budgetMs: 5000 })
  pages = new TagVersions(port, { name: 'pages' })
  database = await testDatabase()
  await installOutbox(database.pool)
  await database.pool.query('create table items (id int primary key, org text, version int not null)')
  await database.pool.query(
    watchSql('items', [
      { name: 'items', entry: '{id}', payload: ['version'] },
      { name: 'pages', tags: ['org:{org}'] },
    ]),
  )
}, 60_000)
afterAll(async () => {
  pages.close()
  await items.close()
  await database[Symbol.asyncDispose]()
  await port.close()
})
beforeEach(async () => {
  await database.pool.query('truncate items; delete from slotwise_outbox')
})

const add = (id: number, org = 'acme') =>
  database.pool.query('insert into items values ($1, $2, 1)', [id, org])

/** Begins to consume, until the test is over. */
function consuming(options: Partial<OutboxOptions> = {}): Outbox {
  const consumer = outbox({ pool: database.pool, pollMs: 50, ...options }, port)
  onTestFinished(() => consumer.close())
  return consumer
}

const versionOf = async (id: number): Promise<number | null> => {
  const { rows } = await database.pool.query<{ version: number }>('select version from items where id = $1', [
    id,
  ])
  return rows[0]?.version ?? null
}
const cached = (id: number) => items.getOrLoad(String(id), () => versionOf(id))
const emptied = (consumer: Outbox) =>
  vi.waitFor(async () => expect((await consumer.lag()).rows).toBe(0), {
    timeout: rounds(20_000, 300_000),
    interval: 5,
  })

it('a connection that ends in the moment it is lent does not end the process', async () => {
  const pool = database.another()
  const thrown = failingWhenLent(pool)
  consuming({ pool })
  await add(1)
  await vi.waitFor(async () => {
    const { rows } = await database.pool.query('select 1 from slotwise_outbox')
    expect(rows).toEqual([])
  })
  await installOutbox(pool)
  expect(thrown).toEqual([])
})

describe('a change by plain SQL', () => {
  it('removes the entry from the cache and changes the tags, wherever they live', async () => {
    await add(1)
    await add(2, 'other')
    const consumer = consuming()
    await emptied(consumer)
    expect([await cached(1), await cached(2)]).toEqual([1, 1])
    const [acme, other] = [await pages.snapshot(['org:acme/list']), await pages.snapshot(['org:other'])]
    await database.pool.query('update items set version = 7 where id = 1')
    await vi.waitFor(async () => expect(await items.get('1')).toBeUndefined())
    expect(await cached(1)).toBe(7)
    expect(await items.get('2')).toBe(1)
    await vi.waitFor(async () => expect(await pages.changedSince(acme)).toEqual(['org:acme']))
    expect(await pages.changedSince(other)).toEqual([])
  })

  it('takes from a load under way the right to store', async () => {
    await add(1)
    const consumer = consuming()
    await emptied(consumer)
    const loaded = items.getOrLoad('1', async () => {
      const version = await versionOf(1)
      await database.pool.query('update items set version = 2 where id = 1')
      await emptied(consumer)
      return version
    })
    expect(await loaded).toBe(1)
    expect(await cached(1)).toBe(2)
  })

  it('is heard by what other processes hold in their memory', async () => {
    await add(1)
    const consumer = consuming()
    await emptied(consumer)
    const far = await connect({ nodes: inject('clusterNodes'), namespace: 'outbox' })
    const local = { maxEntries: 100, maxStalenessMs: 200 }
    const cache = new Cache<number | null>(far, { name: 'items', ttlMs: 600_000, budgetMs: 5000, local })
    onTestFinished(async () => {
      await cache.close()
      await far.close()
    })
    await vi.waitFor(async () => {
      const read = await cache.fetch('1', () => versionOf(1))
      expect(read).toMatchObject({ value: 1, source: 'local' })
    })
    await database.pool.query('update items set version = 2')
    await vi.waitFor(async () => expect(await cache.getOrLoad('1', () => versionOf(1))).toBe(2))
  })

  it('that is rolled back tells nothing', async () => {
    await add(1)
    const heard: OutboxEvent[] = []
    const consumer = consuming({ handler: (events) => void heard.push(...events) })
    await emptied(consumer)
    heard.length = 0
    await database.pool.query('begin; update items set version = 2; rollback')
    await add(3)
    await emptied(consumer)
    expect(heard.map(({ entry }) => entry?.join())).toEqual(['3', undefined])
  })

  it('of one tenant leaves the others theirs', async () => {
    await database.pool.query('create table owned (org text, id int)')
    await database.pool.query(watchSql('owned', [{ name: 'items', tenant: '{org}', entry: '{id}' }]))
    const [acme, other] = [items.forTenant('acme'), items.forTenant('other')]
    for (const view of [acme, other, items]) await view.set('1', 1)
    consuming()
    await database.pool.query("insert into owned values ('acme', 1)")
    await vi.waitFor(async () => expect(await acme.get('1')).toBeUndefined())
    expect([await other.get('1'), await items.get('1')]).toEqual([1, 1])
  })

  it('of everything, by TRUNCATE, removes every entry and changes every tag of the name', async () => {
    for (let id = 0; id < 50; id++) await items.set(String(id), 1)
    await items.forTenant('acme').set('1', 1)
    const beside = new Cache<number>(port, { name: 'items2', ttlMs: 60_000 })
    onTestFinished(() => beside.close())
    await beside.set('1', 1)
    const snapshot = await pages.snapshot(['org:1/x', 'z'])
    const consumer = consuming()
    await database.pool.query('truncate items')
    await emptied(consumer)
    const left = await items.getMany(Array.from({ length: 50 }, (_, id) => String(id)))
    expect(left.filter((value) => value !== undefined)).toEqual([])
    expect(await items.forTenant('acme').get('1')).toBeUndefined()
    expect(await pages.changedSince(snapshot)).toEqual(['org:1', 'org:1/x', 'z'])
    expect(await beside.get('1')).toBe(1)
  })

  it('is heard without a notification too', async () => {
    await installOutbox(database.pool, { table: 'quiet', notify: false })
    const consumer = consuming({ table: 'quiet', pollMs: 20 })
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    await items.set('1', 1)
    await database.pool.query("insert into quiet (name, entry) values ('items', '{1}')")
    await vi.waitFor(async () => expect(await items.get('1')).toBeUndefined())
  })

  it('is heard by notification long before the next look', async () => {
    const consumer = consuming({ pollMs: 60_000 })
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    await emptied(consumer)
    await add(1)
    await emptied(consumer)
  })
})

describe('many writers at once', () => {
  // Pages of three, so that nearly every round has several.
  it.each([500, 3])(
    'every commit is told, in order for each row, none that was rolled back, and no older value stays, in pages of %i',
    {
      timeout: rounds(30_000, 600_000),
    },
    async (batchSize) => {
      const [rows, each] = [20, rounds(batchSize === 3 ? 40 : 120, 2000)]
      for (let id = 0; id < rows; id++) await add(id)
      const told = new Map<string, number[]>()
      const heardAt = new Map<string, number>()
      const committedAt = new Map<string, number>()
      const consumer = consuming({
        batchSize,
        handler: (events) => {
          for (const { entry, payload } of events) {
            if (entry === undefined) continue
            const { version } = payload as { version: number }
            const versions = told.get(entry.join()) ?? []
            told.set(entry.join(), [...versions, version])
            heardAt.set(`${entry.join()} ${version}`, performance.now())
          }
        },
      })
      await emptied(consumer)
      told.clear()
      const pool = database.another({ max: 8 })
      const rolledBack = new Set<string>()
      const write = async (client: pg.PoolClient): Promise<void> => {
        const id = Math.floor(Math.random() * rows)
        await client.query('begin')
        if (Math.random() < 0.3)
          await client.query('insert into items values ($1, $2, 0)', [
            1000 + Math.floor(Math.random() * 1e9),
            'x',
          ])
        const { rows: changed } = await client.query<{ version: number }>(
          'update items set version = version + 1 where id = $1 returning version',
          [id],
        )
        // Some commit late, others take their row meanwhile.
        if (Math.random() < 0.15) await sleep(Math.random() * 30)
        const name = `${id} ${changed[0]?.version}`
        if (Math.random() < 0.2) {
          await client.query('rollback')
          rolledBack.add(name)
          return
        }
        await client.query('commit')
        committedAt.set(name, performance.now())
      }
      const state = { isOver: false }
      const reading = (async () => {
        while (!state.isOver) await cached(Math.floor(Math.random() * rows))
      })()
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          const client = await pool.connect()
          for (let n = 0; n < each; n++) await write(client)
          client.release()
        }),
      )
      await emptied(consumer)
      state.isOver = true
      await reading
      for (let id = 0; id < rows; id++) {
        const last = (await versionOf(id)) ?? 0
        expect(told.get(String(id)) ?? []).toEqual(Array.from({ length: last - 1 }, (_, n) => n + 2))
        expect(await cached(id)).toBe(last)
      }
      expect(rolledBack.size).toBeGreaterThan(5)
      const lags = [...committedAt]
        .map(([name, at]) => (heardAt.get(name) ?? Infinity) - at)
        .toSorted((a, b) => a - b)
      const at = (share: number) => (lags[Math.floor(lags.length * share)] ?? 0).toFixed(1)
      console.log(
        `outbox: ${lags.length} commits by 8 writers, pages of ${batchSize}, told after ${at(0.5)} ms (median), ${at(0.99)} ms (p99)`,
      )
      // Small pages are slow: there it is the order that matters.
      expect(lags.at(-1)).toBeLessThan(batchSize === 3 ? Infinity : 5000)
    },
  )
})

it('a backlog is carried in large batches', { timeout: rounds(30_000, 600_000) }, async () => {
  const count = rounds(20_000, 200_000)
  await database.pool.query(
    `insert into items select n, 'o' || n % 100, 1 from generate_series(1, $1::int) as n`,
    [count],
  )
  const from = performance.now()
  const consumer = consuming()
  await vi.waitFor(async () => expect((await consumer.lag()).rows).toBe(0), {
    timeout: rounds(25_000, 300_000),
  })
  const seconds = (performance.now() - from) / 1000
  console.log(
    `outbox: a backlog of ${count + 100} events carried in ${seconds.toFixed(1)} s, ${Math.round((count + 100) / seconds)} a second`,
  )
})

describe('what cannot be carried', () => {
  it('is set aside where it is seen, and holds up nothing', async () => {
    const errors: string[] = []
    const consumer = consuming({
      onError: ({ message }, { operation }) => void errors.push(`${operation}: ${message}`),
    })
    const heard = heardOn('slotwise:outbox')
    const wrong = { namespace: port.namespace, pattern: 'tag', name: 'pages' }
    const key = keyOf(wrong, 'taken')
    await port.call({ key, command: ['SET', key, 'by somebody else'] })
    await items.set('1', 1)
    await database.pool.query(`insert into slotwise_outbox (name, tenant, entry, tags, everything) values
      ('no name', null, '{1}', null, false), (null, null, '{1}', null, false), ('items', null, '{}', null, false),
      ('items', null, array[null]::text[], null, false), ('pages', null, null, array[''], false),
      ('pages', null, null, array[repeat('x', 600)], false), ('pages', null, null, '{taken}', false),
      ('a b', null, null, null, true), ('items', null, '{1}', null, false)`)
    await emptied(consumer)
    expect(await items.get('1')).toBeUndefined()
    expect(await consumer.lag()).toEqual({ rows: 0, oldestMs: 0, setAside: 8 })
    const { rows } = await database.pool.query<{ failure: string }>(
      'select failure from slotwise_outbox order by id',
    )
    expect(rows.map(({ failure }) => failure)).toEqual([
      expect.stringContaining('name must be'),
      expect.stringContaining('must name the cache'),
      expect.stringContaining('non-empty array'),
      expect.stringContaining('a part of an id'),
      expect.stringContaining('a tag must be'),
      expect.stringContaining('a tag must be'),
      expect.stringContaining('WRONGTYPE'),
      expect.stringContaining('name must be'),
    ])
    expect(errors).toHaveLength(8)
    expect(errors.every((error) => error.startsWith('set-aside: event '))).toBe(true)
    expect(heard.filter(({ kind }) => kind === 'set-aside').map(({ events }) => events)).toEqual([8])
    // Mended, it is carried like any other.
    await port.call({ key, command: ['DEL', key] })
    await database.pool.query("update slotwise_outbox set failed_at = null where failure like '%WRONGTYPE%'")
    await emptied(consumer)
    expect((await consumer.lag()).setAside).toBe(7)
  })

  it('for a handler may be given up by it', async () => {
    const consumer = consuming({
      handler: (events, { setAside }) => {
        for (const event of events) if (event.payload === 'bad') setAside(event, 'of no use')
      },
    })
    await database.pool.query(`insert into slotwise_outbox (payload) values ('"good"'), ('"bad"')`)
    await emptied(consumer)
    const { rows } = await database.pool.query('select payload, failure from slotwise_outbox')
    expect(rows).toEqual([{ payload: 'bad', failure: 'of no use' }])
  })
})

describe('a handler', () => {
  it('that fails gets the same again, in order, and holds up no invalidation', async () => {
    const batches: string[][] = []
    const errors: string[] = []
    let isWell = false
    const consumer = consuming({
      batchSize: 2,
      handler: (events) => {
        batches.push(events.map(({ payload }) => String(payload)))
        if (!isWell) throw new Error('the CDN is away')
      },
      onError: ({ message }) => void errors.push(message),
    })
    await items.set('5', 1)
    await database.pool.query(`insert into slotwise_outbox (key, payload, name, entry) values
      ('k', '1', null, null), ('k', '2', null, null), ('k', '3', null, null), ('k', '4', 'items', '{5}')`)
    await vi.waitFor(async () => expect(await items.get('5')).toBeUndefined())
    await vi.waitFor(() => expect(batches.length).toBeGreaterThan(2))
    expect(new Set(batches.map(String))).toEqual(new Set(['1,2']))
    expect((await consumer.lag()).rows).toBe(4)
    isWell = true
    await emptied(consumer)
    expect(batches.slice(-2)).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
    expect(new Set(errors)).toEqual(new Set(['the CDN is away']))
  })

  it('that hangs holds up no invalidation, is told by its signal, and gets nothing more until it ends', async () => {
    let calls = 0
    let end = (): void => {}
    const told: unknown[] = []
    const consumer = consuming({
      handlerTimeoutMs: 50,
      handler: async (_events, { signal }) => {
        calls++
        if (calls > 1) return
        signal.addEventListener('abort', () => told.push(signal.reason))
        await new Promise<void>((resolve) => (end = resolve))
      },
    })
    await add(1)
    await vi.waitFor(() => expect(told).toHaveLength(1))
    await items.set('2', 1)
    await add(2)
    await vi.waitFor(async () => expect(await items.get('2')).toBeUndefined())
    await sleep(100)
    expect(calls).toBe(1)
    end()
    await emptied(consumer)
    expect(calls).toBeGreaterThan(1)
  })

  it('may be a purge, of tags and of everything', async () => {
    const purged = new Set<string>()
    const purge = purging({ cdn: 'fastly' }, (keys) => {
      for (const key of keys) purged.add(key)
    })
    const consumer = consuming({ handler: purge })
    await add(1)
    await emptied(consumer)
    expect([...purged]).toEqual(['pages~~org:acme'])
    await database.pool.query('truncate items')
    await emptied(consumer)
    expect([...purged]).toEqual(['pages~~org:acme', 'items', 'pages'])
  })

  it('gets the events after Redis has taken them, with what the writer said', async () => {
    const heard: (readonly [OutboxEvent, number | null | undefined])[] = []
    const consumer = consuming({
      handler: async (events) => {
        for (const event of events) heard.push([event, await items.get('1')])
      },
    })
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    await items.set('1', 1)
    const from = Date.now()
    await add(1)
    await emptied(consumer)
    expect(heard).toEqual([
      [
        {
          id: expect.any(BigInt) as bigint,
          key: '["items",null,["1"],[]]',
          name: 'items',
          tenant: undefined,
          entry: ['1'],
          tags: [],
          everything: false,
          payload: { version: 1 },
          source: 'public.items',
          operation: 'INSERT',
          writtenAt: expect.any(Date) as Date,
        },
        undefined,
      ],
      [expect.objectContaining({ name: 'pages', tags: ['org:acme'], payload: null }), undefined],
    ])
    expect(Math.abs((heard[0]?.[0].writtenAt.getTime() ?? 0) - from)).toBeLessThan(5000)
  })
})

describe('of several that are open', () => {
  it('one works, and another takes over when it is closed', async () => {
    const heard = [0, 0]
    const both = heard.map((_, i) =>
      consuming({
        pool: database.another(),
        pollMs: 20,
        handler: (events) => void (heard[i] = (heard[i] ?? 0) + events.length),
      }),
    )
    await vi.waitFor(() => expect(both.filter(({ isConsumer }) => isConsumer)).toHaveLength(1))
    for (let id = 0; id < 20; id++) await add(id)
    await emptied(both[0] as Outbox)
    expect(heard.toSorted((a, b) => a - b)).toEqual([0, 40])
    const first = both[0]?.isConsumer === true ? 0 : 1
    await both[first]?.close()
    await add(99)
    await emptied(both[1 - first] as Outbox)
    expect(heard[1 - first]).toBe(2)
  })

  it('another takes over at once when the connection of the first is cut, and nothing is lost', async () => {
    const seen = new Set<string>()
    const errors: string[] = []
    const handler = (events: readonly OutboxEvent[]) => {
      for (const { entry } of events) if (entry !== undefined) seen.add(entry.join())
    }
    const options = { pollMs: 30, handler, onError: ({ message }: Error) => void errors.push(message) }
    const both = [0, 1].map(() => consuming({ ...options, pool: database.another() }))
    const heard = heardOn('slotwise:outbox')
    for (let n = 0; n < 10; n++) {
      await vi.waitFor(() => expect(both.some(({ isConsumer }) => isConsumer)).toBe(true), { timeout: 5000 })
      for (let id = 0; id < 10; id++) await add(n * 10 + id)
      await database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'slotwise outbox %' and datname = current_database()`,
      )
    }
    await emptied(both[0] as Outbox)
    expect(seen.size).toBe(100)
    expect(heard.filter(({ kind }) => kind === 'interrupted').length).toBeGreaterThan(3)
    expect(errors.some((message) => message.includes('terminating connection'))).toBe(true)
  })

  it('another takes over from one that says nothing any more', async () => {
    const stuck = await database.another().connect()
    await stuck.query(
      "select pg_advisory_lock(hashtextextended('slotwise outbox public.slotwise_outbox', 0))",
    )
    await stuck.query("set idle_session_timeout = '300ms'")
    stuck.on('error', () => {})
    const consumer = consuming({ pollMs: 20 })
    await add(1)
    await emptied(consumer)
    expect(consumer.isConsumer).toBe(true)
    stuck.release(true)
  })

  it('one whose handler takes longer than the time of takeover keeps the lock', async () => {
    let calls = 0
    const slow = consuming({
      pool: database.another(),
      takeoverMs: 300,
      handler: async () => {
        calls++
        await sleep(900)
      },
    })
    await vi.waitFor(() => expect(slow.isConsumer).toBe(true))
    const other = consuming({
      pool: database.another(),
      pollMs: 20,
      takeoverMs: 300,
      handler: () => void (calls += 100),
    })
    await add(1)
    await emptied(slow)
    expect([calls, slow.isConsumer, other.isConsumer]).toEqual([1, true, false])
  })
})

describe('an outbox', () => {
  it('says what waits, and for how long, in every process', async () => {
    const pool = database.another()
    const idle = outbox({ pool, table: 'slotwise_outbox', pollMs: 60_000 }, port)
    await vi.waitFor(() => expect(idle.isConsumer).toBe(true))
    await emptied(idle)
    const other = consuming({ handler: () => Promise.reject(new Error('not yet')), pool: database.another() })
    await idle.close()
    await add(1)
    await vi.waitFor(() => expect(other.isConsumer).toBe(true), { timeout: 5000 })
    await sleep(30)
    const lag = await other.lag()
    expect(lag).toMatchObject({ rows: 2, setAside: 0 })
    expect(lag.oldestMs).toBeGreaterThan(20)
    expect(lag.oldestMs).toBeLessThan(20_000)
    await expect(idle.lag()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('waits for its table, says so, and begins when it is there', async () => {
    const errors: string[] = []
    const consumer = consuming({ table: 'later', onError: ({ message }) => void errors.push(message) })
    await vi.waitFor(() => expect(errors[0]).toContain('there is no outbox public.later of version 1'))
    await installOutbox(database.pool, { table: 'later' })
    await items.set('1', 1)
    await database.pool.query("insert into later (name, entry) values ('items', '{1}')")
    await vi.waitFor(async () => expect(await items.get('1')).toBeUndefined(), { timeout: 8000 })
    await emptied(consumer)
  })

  it('comes back after Postgres was out of reach, and keeps no caller for ever', async () => {
    const errors: string[] = []
    let isAway = true
    const pool = {
      connect: () => (isAway ? new Promise<never>(() => {}) : database.pool.connect()),
      query: (text: string, values?: unknown[]) =>
        isAway ? new Promise<never>(() => {}) : database.pool.query(text, values),
    }
    const consumer = consuming({
      pool,
      postgresTimeoutMs: 100,
      onError: ({ message }) => void errors.push(message),
    })
    await vi.waitFor(() => expect(errors).toContain('Postgres has not answered within 100 ms'))
    await expect(consumer.lag()).rejects.toThrow('within 100 ms')
    await expect(consumer.lag({ deadlineMs: 10 })).rejects.toThrow('within 10 ms')
    isAway = false
    await add(1)
    await emptied(consumer)
  })

  it('tells of no failure that is only its end', async () => {
    for (let n = 0; n < 20; n++) {
      const errors: string[] = []
      const consumer = outbox(
        {
          pool: database.pool,
          onError: ({ message }) => void errors.push(message),
          handler: () => sleep(Math.random() * 5),
        },
        port,
      )
      await add(1000 + n)
      await sleep(Math.random() * 20)
      await consumer.close()
      expect(errors).toEqual([])
    }
    await emptied(consuming())
  })

  it('ends by its signal or by close, as often as that is called, and leaves no session behind', async () => {
    const stop = new AbortController()
    const consumer = outbox({ pool: database.pool, signal: stop.signal }, port)
    await vi.waitFor(() => expect(consumer.isConsumer).toBe(true))
    stop.abort()
    await consumer.close()
    await consumer.close()
    expect(consumer.isConsumer).toBe(false)
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query(
        "select pid from pg_stat_activity where application_name like 'slotwise outbox %' and datname = current_database()",
      )
      expect(rows).toEqual([])
    })
    const never = outbox({ pool: database.pool, signal: AbortSignal.abort() }, port)
    await never.close()
  })

  it.each([
    [{ batchSize: 0 }, 'batchSize'],
    [{ pollMs: -1 }, 'pollMs'],
    [{ takeoverMs: 5 }, 'takeoverMs'],
    [{ table: 'Not fit' }, 'table'],
    [{ replicas: 1.5 }, 'replicas'],
    [{ pool: undefined as never }, 'pool'],
  ])('refuses %j', (options, name) => {
    expect(() => outbox({ pool: database.pool, ...options }, port)).toThrow(name)
  })

  it('tells what it carried, and how late', async () => {
    const heard = heardOn('slotwise:outbox')
    const consumer = consuming()
    await add(1)
    await emptied(consumer)
    const applied = heard.filter(({ kind }) => kind === 'applied')
    expect(applied.reduce((sum, { events }) => sum + events, 0)).toBe(2)
    expect(applied[0]).toMatchObject({ name: 'public.slotwise_outbox', reason: undefined })
    expect(applied[0]?.delayMs).toBeGreaterThan(0)
    expect(heard.map(({ kind }) => kind)).toContain('elected')
  })
})
