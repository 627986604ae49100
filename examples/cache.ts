/** Cache-aside, invalidation and write-through on a cluster of its own: `npx tsx --conditions=slotwise-source examples/cache.ts` */
import { Cache } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'

interface Comment {
  readonly text: string
}

const database = new Map<string, Comment>([['7', { text: 'first' }]])

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
await using comments = new Cache<Comment | null>(redis, { name: 'comments', ttlMs: 60_000 })
const acme = comments.forTenant('acme')

const find = (id: string) => acme.fetch(id, () => database.get(id) ?? null)

for (let i = 1; i <= 3; i++) {
  const { value, how, durationMs } = await find('7')
  console.log(`${i}: ${value?.text} by ${how} in ${durationMs.toFixed(1)} ms`)
}

// Change the truth first, then invalidate: a load that is under way cannot store the older text any more.
database.set('7', { text: 'second' })
await acme.invalidate('7')
console.log(`after invalidate: ${(await find('7')).value?.text}`)

await acme.writeThrough('7', () => {
  database.set('7', { text: 'third' })
  return { text: 'third' }
})
const { value, how } = await find('7')
console.log(`after writeThrough: ${value?.text} by ${how}`)
