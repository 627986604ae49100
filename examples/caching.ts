/** The examples of docs/patterns/cache.md on a cluster of its own: `npx tsx --conditions=slotwise-source examples/caching.ts` */
import { Cache } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { type Comment, findComment } from './caching/cache-aside.js'
import { RedisLevel } from './caching/redis-level.js'
import { Table } from './caching/table.js'
import { createComment } from './caching/write-through.js'

const db = new Table()
await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
await using comments = new Cache<Comment | null>(redis, { name: 'comments', ttlMs: 3_600_000 })
await using trees = new Cache<readonly string[]>(redis, { name: 'trees', ttlMs: 3_600_000 })
await using totals = new Cache<number>(redis, { name: 'totals', ttlMs: 60_000 })

const comment = { id: 'c-1', tenantId: 'acme', entityId: 'article-7', authorId: 'ann', content: 'first' }
console.log(`before: ${(await findComment(comments, db, 'acme', 'c-1'))?.content}, queries ${db.queries}`)
console.log(`again:  ${(await findComment(comments, db, 'acme', 'c-1'))?.content}, queries ${db.queries}`)

const tree = () => trees.forTenant('acme').getOrLoad('article-7', () => db.idsOf('article-7'))
console.log('tree:', await tree())
console.log(`created: ${await createComment({ comments, trees }, db, comment)}, queries ${db.queries}`)
console.log(`read:    ${(await findComment(comments, db, 'acme', 'c-1'))?.content}, queries ${db.queries}`)
console.log('tree:', await tree())

const level = new RedisLevel(totals)
const { token } = await level.get('article-7')
const slow = (await tree()).length
await totals.invalidate('article-7')
console.log(`a total that was overtaken is stored: ${await level.set('article-7', slow, token)}`)
