import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { installOutbox, type OutboxEvent, outbox, watchSql } from '../../../../src/invalidation/index.js'
import { connect } from '../../../../src/ioredis/index.js'
import type { RedisPort } from '../../../../src/redis/index.js'
import { type TestDatabase, testDatabase } from '../../../support/postgres.js'
import { ByPosition, ByTransaction } from './naive.js'

let database: TestDatabase
let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: 'order' })
  database = await testDatabase()
  await installOutbox(database.pool)
  await database.pool.query('create table items (id int primary key, title text)')
  await database.pool.query(watchSql('items', [{ name: 'items', entry: '{id}', payload: ['title'] }]))
}, 60_000)
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await port.close()
})
beforeEach(async () => {
  await database.pool.query(
    `truncate items; insert into items values (1, 'a'), (2, 'b'); delete from slotwise_outbox`,
  )
})

/** A transaction that goes on until it is told to end. */
async function transaction() {
  const client = await database.pool.connect()
  await client.query('begin')
  return {
    run: (sql: string) => client.query(sql),
    commit: async () => {
      await client.query('commit')
      client.release()
    },
  }
}

/** What an outbox hands over, one by one. */
function consuming(): readonly OutboxEvent[] {
  const seen: OutboxEvent[] = []
  const consumer = outbox(
    { pool: database.pool, pollMs: 20, handler: (events) => void seen.push(...events) },
    port,
  )
  onTestFinished(() => consumer.close())
  return seen
}

describe('a transaction that writes first and commits last', () => {
  /** Looks once in between and once after. */
  async function late(between: () => Promise<void>, after: () => Promise<void>): Promise<void> {
    const slow = await transaction()
    await slow.run("update items set title = 'slow' where id = 1")
    await database.pool.query("update items set title = 'quick' where id = 2")
    await between()
    await slow.commit()
    await after()
  }

  it('is missed for ever by who remembers a position', async () => {
    const naive = new ByPosition(database.pool)
    const seen: string[] = []
    const look = async () => void seen.push(...(await naive.next()))
    await late(look, look)
    expect(seen).toEqual(['2'])
  })

  it('is not missed', async () => {
    const seen = consuming()
    const until = (ids: readonly string[]) => () =>
      vi.waitFor(() => expect(seen.map(({ entry }) => entry?.join())).toEqual(ids))
    await late(until(['2']), until(['2', '1']))
  })
})

describe('two changes of one row, the later by the older transaction', () => {
  /** Leaves both in the table, with the newest title in the table itself. */
  async function crossed(): Promise<void> {
    const older = await transaction()
    await older.run("update items set title = 'other' where id = 2")
    await database.pool.query("update items set title = 'first' where id = 1")
    await older.run("update items set title = 'second' where id = 1")
    await older.commit()
  }

  it('are turned round by who goes by transactions', async () => {
    await crossed()
    expect(await new ByTransaction(database.pool).next()).toEqual(['other', 'second', 'first'])
  })

  it('come in the order of their commits', async () => {
    await crossed()
    const seen = consuming()
    await vi.waitFor(() => expect(seen).toHaveLength(3))
    const ofRow = seen.filter(({ entry }) => entry?.join() === '1')
    expect(ofRow.map(({ payload }) => payload)).toEqual([{ title: 'first' }, { title: 'second' }])
    expect(new Set(ofRow.map(({ key }) => key)).size).toBe(1)
    expect((ofRow[0]?.id ?? 0n) < (ofRow[1]?.id ?? 0n)).toBe(true)
  })
})

it('a row that is changed twice while a page is handed over comes in order too', async () => {
  const late = await transaction()
  await late.run("update items set title = 'first' where id = 1")
  await database.pool.query("update items set title = 'x' where id = 2")
  const seen: string[] = []
  const consumer = outbox(
    {
      pool: database.pool,
      pollMs: 20,
      batchSize: 1,
      handler: async (events) => {
        for (const { payload } of events) seen.push((payload as { title: string }).title)
        if (seen.length > 1) return
        // Behind what has been read, and then ahead of it.
        await late.commit()
        await database.pool.query("update items set title = 'second' where id = 1")
      },
    },
    port,
  )
  onTestFinished(() => consumer.close())
  await vi.waitFor(() => expect(seen).toHaveLength(3))
  expect(seen).toEqual(['x', 'first', 'second'])
})
