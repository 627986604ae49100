import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { Cache, type CacheOptions } from '../../../../src/cache/index.js'
import {
  installOutbox,
  type Outbox,
  type OutboxOptions,
  outbox,
  watchSql,
} from '../../../../src/invalidation/index.js'
import { connect } from '../../../../src/ioredis/index.js'
import { keyOf, type RedisPort, slotOf } from '../../../../src/redis/index.js'
import { withoutBorrowing } from '../../../support/port-with.js'
import { type TestDatabase, testDatabase } from '../../../support/postgres.js'
import { nameOf, watched } from '../../cache/watched-port.js'

let database: TestDatabase
let port: RedisPort
/** Of a user who may not use CLIENT TRACKING. */
let elsewhere: RedisPort

beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: 'outbox-logs' }
  port = await connect(options)
  elsewhere = withoutBorrowing(await connect(options))
  database = await testDatabase()
  await installOutbox(database.pool)
  await database.pool.query('create table items (id text primary key, org text, version int not null)')
  await database.pool.query(
    watchSql('items', [
      { name: 'items.v2', entry: '{id}' },
      { name: 'pages', tags: ['org:{org}'] },
    ]),
  )
}, 60_000)
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await Promise.all([port.close(), elsewhere.close()])
})
beforeEach(async () => {
  // What an earlier test has left in Redis.
  for (const kept of [{ name: 'items', version: 2 }, { name: 'pages' }]) {
    await using cache = new Cache<number>(port, { ...kept, ttlMs: 600_000, coherence: 'log' })
    await cache.invalidate('1')
  }
  await database.pool.query('truncate items; delete from slotwise_outbox')
  await database.pool.query("insert into items values ('1', 'acme', 1); delete from slotwise_outbox")
})

const waitFor = <R>(act: () => R) => vi.waitFor(act, { interval: 5, timeout: 10_000 })

const LOGS = { 'items.v2': 'items', pages: 'pages' }
const T = 400

function consuming(options: Partial<OutboxOptions> = {}, through = port): Outbox {
  const consumer = outbox({ pool: database.pool, pollMs: 50, logs: LOGS, ...options }, through)
  onTestFinished(() => consumer.close())
  return consumer
}

/** In another process, which hears of changes by the log alone, and holds the entry. */
async function holding(
  options: Pick<CacheOptions<number>, 'name' | 'version'>,
  tags: readonly string[],
  through = elsewhere,
) {
  const local = { maxEntries: 100, maxStalenessMs: T }
  const cache = new Cache<number>(through, {
    ...options,
    ttlMs: 600_000,
    budgetMs: 5000,
    coherence: 'log',
    local,
  })
  onTestFinished(() => cache.close())
  const read = async () => {
    const { rows } = await database.pool.query<{ version: number }>(
      "select version from items where id = '1'",
    )
    return rows[0]?.version ?? 0
  }
  const get = () => cache.getOrLoad('1', { tags }, read)
  await waitFor(async () => {
    const seen = await cache.fetch('1', { tags }, read)
    expect(seen).toMatchObject({ value: 1, source: 'local' })
  })
  return { cache, get }
}

const items = (through = elsewhere) => holding({ name: 'items', version: 2 }, [], through)
const pages = () => holding({ name: 'pages' }, ['org:acme/list'])

describe('what a process holds that hears of changes by the log alone', () => {
  it('an entry that plain SQL has changed is seen', async () => {
    const { get } = await items()
    consuming()
    await database.pool.query('update items set version = 2')
    await waitFor(async () => expect(await get()).toBe(2))
  })

  it('a tag that plain SQL has changed is seen', async () => {
    const { get } = await pages()
    consuming()
    await database.pool.query('update items set version = 2')
    await waitFor(async () => expect(await get()).toBe(2))
  })

  it.each(Object.entries({ items, pages }))('everything, by TRUNCATE, is seen: %s', async (_, held) => {
    const { get } = await held()
    consuming()
    await database.pool.query('truncate items')
    await waitFor(async () => expect(await get()).toBe(0))
  })

  it('everything is seen where only the log of the entry itself can be read', async () => {
    const entry = keyOf({ namespace: port.namespace, pattern: 'cache', name: 'items.v2' }, '1')
    const own = keyOf({ namespace: port.namespace, pattern: 'changes', name: 'items' }, [slotOf(entry) % 8])
    const others = watched(elsewhere, (call) =>
      nameOf(call) === 'read' && 'script' in call && call.keys[0] !== own ? new Promise(() => {}) : undefined,
    )
    const { get } = await items(others)
    consuming()
    await database.pool.query('truncate items')
    await waitFor(async () => expect(await get()).toBe(0))
  })

  it.each([
    ['a change', 'update items set version = 2', 2],
    ['everything', 'truncate items', 0],
  ])('%s waits in the table until the log has it, though it has been removed', async (_, sql, expected) => {
    const { get } = await items()
    let refused = 0
    const refusing = watched(port, (call) => {
      if (nameOf(call) !== 'append' || refused > 4) return
      refused++
      throw new Error('refused')
    })
    const errors: string[] = []
    const consumer = consuming({ onError: ({ message }) => errors.push(message) }, refusing)
    await database.pool.query(sql)
    await waitFor(() => expect(errors).toContain('refused'))
    await waitFor(async () => expect((await consumer.lag()).rows).toBe(0))
    const from = performance.now()
    while ((await get()) === 1 && performance.now() - from <= T) await sleep(1)
    expect(await get()).toBe(expected)
  })
})

it.each([[{ items: 'a b' }], [{ items: '' }], [['items']]])(
  'logs that make no sense are refused: %j',
  (logs) => {
    const options = { pool: database.pool, logs: logs as unknown as Record<string, string> }
    expect(() => outbox(options, port)).toThrow(expect.objectContaining({ code: 'CONFIGURATION' }))
  },
)
