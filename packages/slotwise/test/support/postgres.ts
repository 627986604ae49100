import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { startPostgres } from '../../../../scripts/postgres.js'

/** A database of a test's own, and whatever connections to it. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string
  readonly pool: pg.Pool
  /** A pool more, as another process has; ended with the database. */
  another(settings?: pg.PoolConfig): pg.Pool
}

/** In `DATABASE_URL` if that is set, else in a Postgres that ends with it. */
export async function testDatabase(): Promise<TestDatabase> {
  const own = process.env['DATABASE_URL']
  const server = own === undefined ? await startPostgres() : undefined
  const name = `slotwise_${randomUUID().slice(0, 8)}`
  const admin = new pg.Client({ connectionString: own ?? server?.url })
  await admin.connect()
  await admin.query(`create database ${name}`)
  const url = new URL(own ?? server?.url ?? '')
  url.pathname = `/${name}`
  const pools: pg.Pool[] = []
  const another = (settings: pg.PoolConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ connectionString: url.href, ...settings })
    // That an idle connection was cut is what some tests are about.
    pool.on('error', () => {})
    pools.push(pool)
    return pool
  }
  return {
    url: url.href,
    pool: another(),
    another,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(pools.map((pool) => pool.end()))
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
      await server?.stop()
    },
  }
}

/**
 * Has every connection of the pool fail in the moment it is lent: what comes in the packet that made it ready is told before
 * whoever waited for it goes on. What nobody has heard of it is in the list.
 */
export function failingWhenLent(pool: pg.Pool): readonly unknown[] {
  const thrown: unknown[] = []
  pool.on('acquire', (client) => {
    process.nextTick(() => {
      try {
        client.emit('error', new Error('terminating connection due to administrator command'))
      } catch (error) {
        thrown.push(error)
      }
    })
  })
  return thrown
}
