import { afterAll, beforeAll, expect, it } from 'vitest'
import { postgresWriter, writeBehindSql } from '../../../src/writebehind/index.js'
import { type TestDatabase, testDatabase } from '../../support/postgres.js'

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase()
  await database.pool.query(writeBehindSql())
}, 60_000)
afterAll(() => database[Symbol.asyncDispose]())

it('a connection that ends in the moment it is lent does not end the process', async () => {
  const pool = database.another()
  const writer = postgresWriter(pool, { table: 'posts', name: 'posts', columns: () => ({}) })
  const thrown: unknown[] = []
  pool.on('acquire', (client) => {
    // What comes in the packet that made it ready is told before whoever waited for it goes on.
    process.nextTick(() => {
      try {
        client.emit('error', new Error('terminating connection due to administrator command'))
      } catch (error) {
        thrown.push(error)
      }
    })
  })
  expect(await writer.claim(0, new AbortController().signal)).toMatchObject({ epoch: 1n })
  expect(thrown).toEqual([])
})
