import { afterAll, beforeAll, expect, it } from 'vitest'
import type { PostgresPool } from '../../../src/postgres.js'
import { postgresWriter, type Row, type Writer, writeBehindSql } from '../../../src/writebehind/index.js'
import type { Position } from '../../../src/writebehind/journal.js'
import { type TestDatabase, testDatabase } from '../../support/postgres.js'

interface Post {
  readonly title: string
}

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase()
  await database.pool.query(writeBehindSql())
}, 60_000)
afterAll(() => database[Symbol.asyncDispose]())

const { signal } = new AbortController()
const after = (number: number): Position => {
  const line = { number, tag: `line ${number}`.padEnd(8) }
  return { written: line, seen: line }
}
const set = (id: string, title: string, tenant?: string): Row<Post> => ({
  id,
  deleted: false,
  value: { title },
  ...(tenant === undefined ? {} : { tenant }),
})
const gone = (id: string, tenant?: string): Row<Post> => ({
  id,
  deleted: true,
  ...(tenant === undefined ? {} : { tenant }),
})

/** Writes batches of the first partition, one after the other. */
async function carrying(writer: Writer<Post>) {
  const claim = await writer.claim(0, signal)
  if (claim === undefined) throw new Error('nothing was claimed')
  let { position: from } = claim
  let number = from.written.number
  return async (...rows: readonly Row<Post>[]): Promise<void> => {
    const to = after(++number)
    await writer.write(rows, { partition: 0, epoch: claim.epoch, from, to, signal })
    from = to
  }
}

it('marks a row that goes, and brings it back when it is written again; each change counts its version up', async () => {
  const { pool } = database
  await pool.query(
    'create table soft (id text primary key, title text, gone boolean not null default false, version int not null default 1)',
  )
  const write = await carrying(
    postgresWriter<Post>(pool, {
      name: 'soft',
      table: 'soft',
      columns: ({ value }) => ({ title: value.title }),
      softDelete: 'gone',
      version: 'version',
    }),
  )
  const rows = async () => (await pool.query('select * from soft order by id')).rows as unknown[]
  await write(set('a', 'first'), set('b', 'other'))
  await write(set('a', 'second'))
  expect(await rows()).toEqual([
    { id: 'a', title: 'second', gone: false, version: 2 },
    { id: 'b', title: 'other', gone: false, version: 1 },
  ])
  await write(gone('a'), set('b', 'changed'))
  expect(await rows()).toEqual([
    { id: 'a', title: 'second', gone: true, version: 3 },
    { id: 'b', title: 'changed', gone: false, version: 2 },
  ])
  await write(set('a', 'back'))
  expect(await rows()).toMatchObject([{ id: 'a', title: 'back', gone: false, version: 4 }, { id: 'b' }])
})

it('writes to a table of a schema, by a key and columns with names of their own, and deletes there', async () => {
  const { pool } = database
  await pool.query('create schema app')
  await pool.query(
    'create table app."Odd ""posts" ("Tenant" int, "no" int, "A title" text, primary key ("Tenant", "no"))',
  )
  const write = await carrying(
    postgresWriter<Post>(pool, {
      name: 'odd',
      table: 'app.Odd "posts',
      key: ({ id, tenant }) => ({ Tenant: Number(tenant), no: Number(id) }),
      columns: ({ value }) => ({ 'A title': value.title }),
    }),
  )
  await write(set('1', 'of one', '1'), set('1', 'of two', '2'), set('2', 'goes', '2'))
  await write(gone('2', '2'), gone('3', '2'))
  const { rows } = await pool.query('select * from app."Odd ""posts" order by 1')
  expect(rows).toEqual([
    { Tenant: 1, no: 1, 'A title': 'of one' },
    { Tenant: 2, no: 1, 'A title': 'of two' },
  ])
})

it('has a transaction that its flusher left open ended by the server, and the next one goes on without it', async () => {
  const { pool } = database
  await pool.query('create table held (id text primary key, title text)')
  const made = (through: PostgresPool, timeoutMs: number) =>
    postgresWriter<Post>(through, {
      name: 'held',
      table: 'held',
      columns: ({ value }) => ({ title: value.title }),
      timeoutMs,
    })
  let wake: () => void = () => {}
  const slept = new Promise<void>((awake) => (wake = awake))
  let stopped: () => void = () => {}
  const standsStill = new Promise<void>((still) => (stopped = still))
  // A process that stands still in front of its COMMIT.
  const paused: PostgresPool = {
    query: (text, values) => pool.query(text, values),
    connect: async () => {
      const client = await pool.connect()
      return {
        on: (event, listener) => client.on(event, listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
        release: (isBroken) => client.release(isBroken),
        query: async (text, values) => {
          if (text === 'commit') {
            stopped()
            await slept
          }
          return await client.query(text, values as unknown[])
        },
      }
    },
  }
  const old = await carrying(withClaimOf(made(pool, 300), made(paused, 300)))
  const late = old(set('a', 'of who stood still'))
  late.catch(() => {})
  await standsStill
  const young = await carrying(made(pool, 10_000))
  await young(set('a', 'of who went on'))
  wake()
  await expect(late).rejects.toThrow(/terminat|not queryable|Connection|session/i)
  const { rows } = await pool.query('select * from held')
  expect(rows).toEqual([{ id: 'a', title: 'of who went on' }])
})

/** Claims as the one, and writes as the other. */
const withClaimOf = (one: Writer<Post>, other: Writer<Post>): Writer<Post> => ({
  claim: (partition, until) => one.claim(partition, until),
  write: (rows, context) => other.write(rows, context),
})
