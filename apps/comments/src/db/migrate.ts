import type { PoolClient } from 'pg'
import type { Database } from './database.js'
import { migrations } from './migrations/index.js'

/** Any number, the same in every process that migrates this schema. */
const LOCK = 7_263_845_120

/**
 * Brings the schema up to date. Safe when many processes start at once: one works, the others wait for it. A step
 * that fails leaves nothing behind.
 */
export async function migrate({ pool }: Database): Promise<readonly string[]> {
  const client = await pool.connect()
  try {
    // Held by the session: it ends with the process, however the process ends.
    await client.query('select pg_advisory_lock($1)', [LOCK])
    try {
      return await migrateAlone(client)
    } finally {
      await client.query('select pg_advisory_unlock($1)', [LOCK])
    }
  } finally {
    client.release()
  }
}

async function migrateAlone(client: PoolClient): Promise<readonly string[]> {
  await client.query(
    'create table if not exists migrations (name text primary key, at timestamptz not null default now())',
  )
  const { rows } = await client.query<{ name: string }>('select name from migrations')
  const done = new Set(rows.map(({ name }) => name))
  const left = migrations.filter(({ name }) => !done.has(name))
  for (const { name, sql } of left) {
    await client.query('begin')
    try {
      await client.query(sql)
      await client.query('insert into migrations (name) values ($1)', [name])
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    }
  }
  return left.map(({ name }) => name)
}
