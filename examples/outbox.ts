/** Plain SQL that invalidates, on servers of its own: `npx tsx --conditions=slotwise-source examples/outbox.ts` */
import pg from 'pg'
import { Cache } from 'slotwise/cache'
import { installOutbox, outbox, watchSql } from 'slotwise/invalidation'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { startPostgres } from '../scripts/postgres.js'

await using postgres = await startPostgres()
await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
const pool = new pg.Pool({ connectionString: postgres.url })

await installOutbox(pool)
await pool.query(
  `CREATE TABLE books (id text PRIMARY KEY, title text); INSERT INTO books VALUES ('b-1', 'first')`,
)
await pool.query(watchSql('books', [{ name: 'titles', entry: '{id}' }]))

const titles = new Cache<string | null>(redis, { name: 'titles', ttlMs: 60_000 })
const read = () =>
  titles.getOrLoad('b-1', async () => {
    const { rows } = await pool.query<{ title: string }>(`SELECT title FROM books WHERE id = 'b-1'`)
    return rows[0]?.title ?? null
  })

const carrying = outbox({ pool, onError: console.error }, redis)
console.log('before:', await read())

// Whoever does this knows nothing of any cache.
await pool.query(`UPDATE books SET title = 'second' WHERE id = 'b-1'`)
while ((await carrying.lag()).rows > 0) await new Promise((resolve) => setTimeout(resolve, 5))
console.log('after:', await read())

await carrying.close()
await titles.close()
await pool.end()
