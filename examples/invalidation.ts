/** Tags on a cluster of its own: `npx tsx --conditions=slotwise-source examples/invalidation.ts` */
import { TagVersions } from 'slotwise/invalidation'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
await using tags = new TagVersions(redis, { name: 'pages' })

// What is derived from data carries what was known of its tags before it was made.
const pages = new Map(
  await Promise.all(
    ['org:7/users', 'org:7/invoices', 'org:8/users'].map(
      async (tag) => [tag, await tags.snapshot([tag])] as const,
    ),
  ),
)

async function report(event: string) {
  for (const [page, snapshot] of pages) {
    const changed = await tags.changedSince(snapshot)
    console.log(
      `${event}: ${page} is ${changed.length === 0 ? 'current' : `out of date, by ${changed.join()}`}`,
    )
  }
}

await report('at first')
await tags.bump(['org:7/users'])
await report('after org:7/users')
await tags.bump(['org:7'])
await report('after org:7')
