import type pg from 'pg'
import type { RedisPort } from '../../src/redis/index.js'
import { postgresWriter, WriteBehind } from '../../src/writebehind/index.js'

/** What a process that flushes is told. */
export interface WriteBehindTask {
  readonly nodes: readonly string[]
  readonly url: string
}

/** A row: of which version it is, and how often it was counted. */
export interface Post {
  readonly version?: number
  readonly views?: number
}

export const PARTITIONS = 12
export const LEASE_MS = 1000

/** The same in every process. */
export function openWriteBehind(port: RedisPort, pool: pg.Pool): WriteBehind<Post> {
  return new WriteBehind<Post>(port, {
    name: 'posts',
    partitions: PARTITIONS,
    batchSize: 50,
    flushIntervalMs: 50,
    leaseMs: LEASE_MS,
    highWater: 1_000_000,
    durability: { replicas: 1 },
    writeBatch: postgresWriter<Post>(pool, {
      table: 'posts',
      name: 'posts',
      columns: ({ value: { version = 0, views = 0 } }) => ({ version, views }),
      timeoutMs: 1500,
    }),
    load: async (id) => {
      const sql = 'select version::int, views::int from posts where id = $1'
      return (await pool.query<Post>(sql, [id])).rows[0]
    },
  })
}
