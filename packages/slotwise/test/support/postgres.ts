import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type LocalPostgres, startPostgres } from '../../../../scripts/postgres.js'

/** A database of a test's own, and whatever connections to it. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string
  readonly pool: pg.Pool
  /** A pool more, as another process has; ended with the database. */
  another(settings?: pg.PoolConfig): pg.Pool
}

/** In `DATABASE_URL` if that is set, else in a Postgres that ends with it. */
export async function testDatabase(): Promise<TestDatabase> {
  const url = process.env['DATABASE_URL']
  if (url !== undefined) return await databaseAt(url, async () => {})
  const server = await startPostgres()
  return await databaseAt(server.url, () => server.stop())
}

/** In a Postgres of its own, which can be killed. */
export async function mortalDatabase(): Promise<
  TestDatabase & {
    /** Kills the server, and starts it again with what it had written by then. */
    readonly killServer: () => Promise<void>
    /** Kills a process that serves a connection, which makes the server end all others and begin anew. */
    readonly killBackend: () => Promise<void>
    /** All of the server stands still for so long. */
    readonly pauseServer: (ms: number) => Promise<void>
    /** Asked again until the server answers, which may be beginning anew. */
    readonly ask: <R extends object>(sql: string) => Promise<readonly R[]>
  }
> {
  const folder = await mkdtemp(join(tmpdir(), 'slotwise-postgres-'))
  const start = (port?: number): Promise<LocalPostgres> => startPostgres({ dir: join(folder, 'data'), port })
  let server = await start()
  const database = await databaseAt(server.url, async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const ask = async <R extends object>(sql: string): Promise<readonly R[]> => {
    for (const until = performance.now() + 20_000; ; await sleep(50)) {
      try {
        return (await database.pool.query<R>(sql)).rows
      } catch (error) {
        if (performance.now() > until) throw error
      }
    }
  }
  const pidsOf = async (which: string): Promise<readonly number[]> => {
    const sql = `select pid from pg_stat_activity where pid <> pg_backend_pid() and ${which} order by random()`
    return (await ask<{ pid: number }>(sql)).map(({ pid }) => pid)
  }
  return {
    ...database,
    ask,
    killBackend: async () => {
      const [pid] = await pidsOf(`backend_type = 'client backend'`)
      if (pid !== undefined) signal(pid, 'SIGKILL')
    },
    pauseServer: async (ms) => {
      const all = [server.pid, ...(await pidsOf('true'))]
      for (const pid of all) signal(pid, 'SIGSTOP')
      await sleep(ms)
      for (const pid of all) signal(pid, 'SIGCONT')
    },
    killServer: async () => {
      process.kill(server.pid, 'SIGKILL')
      await server.stop()
      server = await start(server.port)
      if (server.url !== database.serverUrl) throw new Error('the database is somewhere else now')
    },
  }
}

/** Of a process that may have ended by now. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

async function databaseAt(
  serverUrl: string,
  stop: () => Promise<void>,
): Promise<TestDatabase & { readonly serverUrl: string }> {
  const name = `slotwise_${randomUUID().slice(0, 8)}`
  const admin = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: serverUrl })
    await client.connect()
    await client.query(sql)
    await client.end()
  }
  await admin(`create database ${name}`)
  const url = new URL(serverUrl)
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
    serverUrl,
    url: url.href,
    pool: another(),
    another,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(pools.map((pool) => pool.end()))
      await admin(`drop database ${name} with (force)`)
      await stop()
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
