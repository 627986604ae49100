import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { postgresWriter, WriteBehind } from '../../../src/writebehind/index.js'
import { portWith } from '../../support/port-with.js'
import type { TestDatabase } from '../../support/postgres.js'
import { nameOf } from '../cache/watched-port.js'
import { closePlace, openPlace } from './place.js'

let port: RedisPort
let database: TestDatabase
beforeAll(async () => {
  ;({ port, database } = await openPlace())
  await database.pool.query('create table posts (id text primary key, views bigint not null)')
}, 60_000)
afterAll(async () => {
  await closePlace({ port, database })
})

const CLIENTS = 200
const EACH = 10

it('200 clients count one counter exactly, who repeat what ended in a time-out, while it is flushed', async () => {
  let timeOuts = 0
  // Of some calls nothing arrives, of others the answer is lost.
  const shaky = portWith(port, {
    call: (async (call, options) => {
      const isOurs = nameOf(call) === 'accept'
      const dice = Math.random()
      if (isOurs && dice < 0.1) {
        timeOuts++
        throw new RedisUnavailableError('not sent')
      }
      const reply = await port.call(call, options)
      if (!isOurs || dice < 0.8) return reply
      timeOuts++
      throw new OutcomeUnknownError('no answer in time', { node: 'nowhere' })
    }) satisfies RedisPort['call'],
  })
  const enter = (through: RedisPort) =>
    new WriteBehind<{ views: number }>(through, {
      name: 'counting',
      partitions: 2,
      flushIntervalMs: 5,
      leaseMs: 1000,
      writeBatch: postgresWriter<{ views: number }>(database.pool, {
        table: 'posts',
        name: 'counting',
        columns: ({ value: { views } }) => ({ views }),
      }),
      load: async (id) => {
        const sql = 'select views::int from posts where id = $1'
        return (await database.pool.query<{ views: number }>(sql, [id])).rows[0]
      },
    })
  await using flusher = enter(port)
  flusher.start()
  const values: number[] = []
  const client = async () => {
    const own = enter(shaky)
    for (let n = 0; n < EACH; n++) {
      const idempotencyKey = randomUUID()
      for (;;) {
        const answer = await own.increment('a', 'views', 1, { idempotencyKey }).catch(() => undefined)
        if (answer === undefined) continue
        if (!answer.accepted) throw new Error('there was no room')
        values.push(answer.value)
        break
      }
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  await flusher.drain()
  const { rows } = await database.pool.query('select id, views::int from posts')
  expect(rows).toEqual([{ id: 'a', views: CLIENTS * EACH }])
  // Each was told another value, also those that asked twice.
  expect(new Set(values).size).toBe(CLIENTS * EACH)
  expect(timeOuts).toBeGreaterThan(CLIENTS)
})
