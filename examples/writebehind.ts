/** Views of a post, counted in Redis and written later: `npx tsx --conditions=slotwise-source examples/writebehind.ts` */
import { randomUUID } from 'node:crypto'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { WriteBehind } from 'slotwise/writebehind'

interface Post {
  readonly title: string
  readonly views: number
}

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
// In the place of a database; postgresWriter writes to a real one, exactly once in effect.
const table = new Map<string, Post>([['post-7', { title: 'Hello', views: 100 }]])
await using posts = new WriteBehind<Post>(redis, {
  name: 'posts',
  flushIntervalMs: 200,
  load: async (id) => table.get(String(id)),
  writeBatch: async (rows) => {
    console.log(`${rows.length} row is written`)
    for (const row of rows) if (!row.deleted) table.set(String(row.id), row.value)
  },
})

const views = Array.from({ length: 1000 }, () =>
  posts.increment('post-7', 'views', 1, { idempotencyKey: randomUUID() }),
)
await Promise.all(views)
console.log(`accepted: ${(await posts.read('post-7'))?.views} views; written: ${table.get('post-7')?.views}`)
posts.start()
await posts.drain({ onProgress: ({ entries }) => console.log(`${entries} changes wait`) })
console.log(`written: ${table.get('post-7')?.views} views`)
