import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { LockLostError } from '../../../src/errors.js'
import {
  fencedTransaction,
  fencesSql,
  Locks,
  type PostgresPool,
  type TransactionClient,
} from '../../../src/lock/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { type TestDatabase, testDatabase } from '../../support/postgres.js'

let port: RedisPort
let locks: Locks
let database: TestDatabase
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  locks = new Locks(port, { name: 'fenced', quarantine: false })
  database = await testDatabase()
  // Two of them at once must not meet.
  await database.pool.query(fencesSql())
  await database.pool.query('create table written (resource text not null, who text not null, at serial)')
}, 60_000)
afterAll(async () => {
  await port.close()
  await database[Symbol.asyncDispose]()
})

/** As a process sees it that stands still: no signal reaches it, and it believes that it holds the lock. */
const believed = (key: string, token: bigint) => ({
  key,
  token,
  signal: new AbortController().signal,
  assertHeld: () => {},
})
const write = (resource: string, who: string) => async (client: TransactionClient) => {
  await client.query('insert into written (resource, who) values ($1, $2)', [resource, who])
}
async function written(resource: string): Promise<string[]> {
  const sql = 'select who from written where resource = $1 order by at'
  const { rows } = await database.pool.query<{ who: string }>(sql, [resource])
  return rows.map(({ who }) => who)
}
/** A holder that is in the middle, and goes on when it is told to. */
function paused(
  resource: string,
  token: bigint,
  run: typeof fencedTransaction = fencedTransaction,
  timeoutMs = 600,
) {
  let wake: () => void = () => {}
  let begun: () => void = () => {}
  const sleeping = new Promise<void>((resolve) => (wake = resolve))
  const inTheMiddle = new Promise<void>((resolve) => (begun = resolve))
  const old = run(
    database.pool as PostgresPool,
    believed(resource, token),
    async (client) => {
      await write(resource, 'old')(client)
      begun()
      await sleeping
    },
    { timeoutMs },
  )
  const ended = old.then(
    () => 'committed',
    (error: unknown) => error,
  )
  return { ended, wake, inTheMiddle }
}

describe('a fenced transaction', () => {
  it('of the newest holder is committed, as often as it likes', async () => {
    const resource = randomUUID()
    await locks.using(resource, { ttlMs: 5000 }, async (lock) => {
      expect(await fencedTransaction(database.pool, lock, async () => 7)).toBe(7)
      for (const who of ['a', 'b']) await fencedTransaction(database.pool, lock, write(resource, who))
    })
    expect(await written(resource)).toEqual(['a', 'b'])
  })

  it('of an older holder is not, once the database has seen the newer one', async () => {
    const resource = randomUUID()
    await fencedTransaction(database.pool, believed(resource, 8n), write(resource, 'new'))
    const old = fencedTransaction(database.pool, believed(resource, 7n), write(resource, 'old'))
    await expect(old).rejects.toMatchObject({ code: 'STALE_TOKEN', resource, token: 7n, seen: 8n })
    expect(await written(resource)).toEqual(['new'])
  })

  it('of a holder that stands still delays the newer one no longer than its time-out, and is not committed when it wakes', async () => {
    const resource = randomUUID()
    const { ended, wake, inTheMiddle } = paused(resource, 7n)
    await inTheMiddle
    const from = performance.now()
    await fencedTransaction(database.pool, believed(resource, 8n), write(resource, 'new'), { timeoutMs: 600 })
    const waitedMs = performance.now() - from
    console.log(`the newer holder waited ${Math.round(waitedMs)} ms for one that stood still, of 600 stated`)
    expect(waitedMs).toBeGreaterThan(400)
    expect(waitedMs).toBeLessThan(600 + 400)
    wake()
    expect(await ended).toBeInstanceOf(Error)
    expect(await written(resource)).toEqual(['new'])
  })

  it('of a holder that stood still in the middle of a statement delays it twice as long at most', async () => {
    const resource = randomUUID()
    let wake: () => void = () => {}
    const sleeping = new Promise<void>((resolve) => (wake = resolve))
    const old = fencedTransaction(
      database.pool,
      believed(resource, 7n),
      async (client) => {
        await client.query('select pg_sleep(60)').catch(() => {})
        // As if it stood still with the answer unread.
        await sleeping
      },
      { timeoutMs: 500 },
    )
    old.catch(() => {})
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query(
        "select 1 from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'",
      )
      expect(rows).toHaveLength(1)
    })
    const from = performance.now()
    await fencedTransaction(database.pool, believed(resource, 8n), write(resource, 'new'), { timeoutMs: 500 })
    expect(performance.now() - from).toBeLessThan(1000 + 400)
    wake()
    // A COMMIT after it would have been answered, and done nothing.
    await expect(old).rejects.toMatchObject({ code: '25P02' })
    expect(await written(resource)).toEqual(['new'])
  })

  it('of a newer holder waits for one that is about to commit, and comes after it', async () => {
    const resource = randomUUID()
    const { ended, wake, inTheMiddle } = paused(resource, 7n, fencedTransaction, 5000)
    await inTheMiddle
    const newer = fencedTransaction(database.pool, believed(resource, 8n), write(resource, 'new'))
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'",
      )
      expect(rows.length).toBeGreaterThan(0)
    })
    wake()
    await newer
    expect(await ended).toBe('committed')
    expect(await written(resource)).toEqual(['old', 'new'])
  })

  it('writes nothing when the lock is lost in the middle', async () => {
    const resource = randomUUID()
    const lock = await locks.acquire(resource, { ttlMs: 150 })
    const body = fencedTransaction(database.pool, lock, async (client, { signal }) => {
      await write(resource, 'late')(client)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await expect(body).rejects.toThrow(LockLostError)
    await expect(fencedTransaction(database.pool, lock, write(resource, 'late'))).rejects.toThrow(
      LockLostError,
    )
    expect(await written(resource)).toEqual([])
    const next = await locks.acquire(resource, { ttlMs: 5000, waitMs: 5000 })
    await fencedTransaction(database.pool, next, write(resource, 'next'))
    await next.release()
    expect(await written(resource)).toEqual(['next'])
  })

  it('writes nothing when its body throws, and tells its error', async () => {
    const resource = randomUUID()
    const body = fencedTransaction(database.pool, believed(resource, 1n), async (client) => {
      await write(resource, 'x')(client)
      throw new Error('the body')
    })
    await expect(body).rejects.toThrow('the body')
    expect(await written(resource)).toEqual([])
    // Nothing of it is left: the connection is fit for the next.
    await fencedTransaction(database.pool, believed(resource, 1n), write(resource, 'y'))
    expect(await written(resource)).toEqual(['y'])
  })

  it('tells a body that has ended the transaction by itself, and sees what was committed while it waited, whatever the level is by default', async () => {
    const resource = randomUUID()
    const ended = fencedTransaction(database.pool, believed(resource, 1n), (client) => client.query('commit'))
    await expect(ended).rejects.toMatchObject({ code: '25P01' })
    const strict = database.another({ options: '-c default_transaction_isolation=serializable' })
    const { ended: older, wake, inTheMiddle } = paused(resource, 2n, fencedTransaction, 5000)
    await inTheMiddle
    const newer = fencedTransaction(strict, believed(resource, 3n), (client) =>
      client.query('select who from written where resource = $1', [resource]),
    )
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'",
      )
      expect(rows.length).toBeGreaterThan(0)
    })
    wake()
    expect(await older).toBe('committed')
    expect((await newer).rows).toEqual([{ who: 'old' }])
  })

  it('says that it does not know whether a COMMIT without an answer was done, and that a refused one was not', async () => {
    const resource = randomUUID()
    const deaf: PostgresPool = {
      query: (text, values) => database.pool.query(text, values),
      connect: async () => {
        const client = await database.pool.connect()
        return {
          on: (event, listener) => client.on(event, listener),
          removeListener: (event, listener) => client.removeListener(event, listener),
          release: (isBroken) => client.release(isBroken),
          query: async (text, values) => {
            const result = await client.query(text, values as unknown[])
            if (text === 'commit') throw new Error('Connection terminated unexpectedly')
            return result
          },
        }
      },
    }
    const unknown = fencedTransaction(deaf, believed(resource, 1n), write(resource, 'done'))
    await expect(unknown).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    expect(await written(resource)).toEqual(['done'])
    await database.pool.query('create table if not exists parents (id text primary key)')
    await database.pool.query(
      'create table if not exists children (id text references parents deferrable initially deferred)',
    )
    const refused = fencedTransaction(database.pool, believed(resource, 1n), (client) =>
      client.query("insert into children values ('orphan')"),
    )
    await expect(refused).rejects.toMatchObject({ code: '23503' })
  })

  it('keeps its tokens where it is told to, and says what to do where there is no such table', async () => {
    const table = 'my "fences"'
    const resource = randomUUID()
    const without = fencedTransaction(database.pool, believed(resource, 1n), async () => {}, { table })
    await expect(without).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('fencesSql()') as string,
    })
    await database.pool.query(fencesSql({ table }))
    await fencedTransaction(database.pool, believed(resource, 2n), async () => {}, { table })
    const stale = fencedTransaction(database.pool, believed(resource, 1n), async () => {}, { table })
    await expect(stale).rejects.toMatchObject({ code: 'STALE_TOKEN' })
    for (const timeoutMs of [0, 1.5, -1]) {
      const wrong = fencedTransaction(database.pool, believed(resource, 3n), async () => {}, { timeoutMs })
      await expect(wrong).rejects.toMatchObject({ code: 'CONFIGURATION' })
    }
  })
})

describe('what looks like a fence, and lets the older holder commit after the newer one', () => {
  type Fenced = typeof fencedTransaction
  const naive =
    (compare: (client: TransactionClient, key: string, token: bigint) => Promise<void>): Fenced =>
    async (pool, lock, fn) => {
      const client = await pool.connect()
      try {
        await client.query('begin')
        await compare(client, lock.key, lock.token)
        const result = await fn(client, { signal: lock.signal })
        await client.query('commit')
        client.release()
        return result
      } catch (error) {
        client.release(true)
        throw error
      }
    }
  const FENCES: Readonly<Record<string, Fenced>> = {
    'a look at the token, and a note of it at the end': async (pool, lock, fn) =>
      naive(async (client, key, token) => {
        const { rows } = await client.query('select token::text from slotwise_fences where resource = $1', [
          key,
        ])
        const [seen] = rows as readonly { token: string }[]
        if (seen !== undefined && BigInt(seen.token) > token) throw new Error('stale')
      })(pool, lock, async (client, context) => {
        const result = await fn(client, context)
        await client.query(
          `insert into slotwise_fences as it values ($1, $2)
           on conflict (resource) do update set token = greatest(it.token, excluded.token)`,
          [lock.key, lock.token.toString()],
        )
        return result
      }),
    'a note of the token in a transaction before': async (pool, lock, fn) => {
      await naive(async () => {})(pool, lock, (client) =>
        client.query(
          `insert into slotwise_fences as it values ($1, $2)
         on conflict (resource) do update set token = excluded.token where it.token <= excluded.token`,
          [lock.key, lock.token.toString()],
        ),
      )
      return await naive(async () => {})(pool, lock, fn)
    },
  }

  it.each(Object.keys(FENCES))('%s', async (name) => {
    const run = FENCES[name] as Fenced
    const resource = randomUUID()
    const { ended, wake, inTheMiddle } = paused(resource, 7n, run)
    await inTheMiddle
    await run(database.pool, believed(resource, 8n), write(resource, 'new'))
    wake()
    expect(await ended).toBe('committed')
    console.log(`the older holder has committed after the newer one: ${name}`)
    expect((await written(resource)).toSorted()).toEqual(['new', 'old'])
  })
})
