import { afterAll, beforeAll, expect, it } from 'vitest'
import { postgresWriter, writeBehindSql } from '../../../src/writebehind/index.js'
import { failingWhenLent, type TestDatabase, testDatabase } from '../../support/postgres.js'

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase()
  await database.pool.query(writeBehindSql())
}, 60_000)
afterAll(() => database[Symbol.asyncDispose]())

it('a connection that ends in the moment it is lent does not end the process', async () => {
  const pool = database.another()
  const writer = postgresWriter(pool, { table: 'posts', name: 'posts', columns: () => ({}) })
  const thrown = failingWhenLent(pool)
  expect(await writer.claim(0, new AbortController().signal)).toMatchObject({ epoch: expect.any(BigInt) })
  expect(thrown).toEqual([])
})

it('a connection that does not answer is ended when nobody waits any more, and lent to nobody else', async () => {
  const pool = database.another({ max: 1 })
  const writer = postgresWriter(pool, { table: 'posts', name: 'hung', columns: () => ({}) })
  await using other = await holding(database, 'hung')
  const over = new AbortController()
  const claiming = writer.claim(0, over.signal)
  // It waits for the row that somebody else holds.
  await expect.poll(() => other.waiting()).toBe(1)
  over.abort(new Error('nobody waits'))
  await expect(claiming).rejects.toThrow('terminated')
  // The only connection of the pool is another one.
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

/** Somebody who is in the middle of a claim. */
async function holding({ pool }: TestDatabase, name: string) {
  const insert = `insert into slotwise_writebehind (name, partition, epoch, position) values ($1, 0, 1, '{}')`
  await pool.query(insert, [name])
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select 1 from slotwise_writebehind where name = $1 for update', [name])
  return {
    waiting: async () => {
      const sql = `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into slotwise_writebehind%'`
      return (await pool.query<{ n: number }>(sql)).rows[0]?.n
    },
    [Symbol.asyncDispose]: async () => {
      await client.query('rollback')
      client.release()
    },
  }
}
