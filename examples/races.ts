/**
 * What breaks each strategy of invalidation, of docs/invalidation-strategies.md, on a cluster of its own. All of them, or those that are
 * named: `npx tsx --conditions=slotwise-source examples/races.ts lease tag-lost`
 */
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import * as death from './invalidation/death.js'
import * as deleteAfterCommit from './invalidation/delete-after-commit.js'
import * as laggingReplica from './invalidation/lagging-replica.js'
import * as lease from './invalidation/lease.js'
import * as secondDelete from './invalidation/second-delete.js'
import * as tagDuringLoad from './invalidation/tag-during-load.js'
import * as tagLost from './invalidation/tag-lost.js'
import * as ttl from './invalidation/ttl.js'
import * as version from './invalidation/version.js'
import * as writeThrough from './invalidation/write-through.js'

const RACES = {
  ttl,
  'delete-after-commit': deleteAfterCommit,
  'second-delete': secondDelete,
  death,
  'write-through': writeThrough,
  version,
  'tag-during-load': tagDuringLoad,
  'tag-lost': tagLost,
  lease,
  'lagging-replica': laggingReplica,
}

const named = process.argv.slice(2)
const unknown = named.filter((name) => !Object.keys(RACES).includes(name))
if (unknown.length > 0) throw new Error(`there is no race ${unknown.join()}: ${Object.keys(RACES).join()}`)

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'races' })
for (const [name, { naive, ours }] of Object.entries(RACES)) {
  if (named.length > 0 && !named.includes(name)) continue
  const [theirs, mine] = await Promise.all([naive(redis), ours(redis)])
  console.log(`${name}: naive ${theirs}, ours ${mine}`)
}
