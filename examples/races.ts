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

const modules = {
  ttl,
  deleteAfterCommit,
  secondDelete,
  death,
  writeThrough,
  version,
  tagDuringLoad,
  tagLost,
  lease,
  laggingReplica,
}
/** By the names of their files. */
const races = Object.entries(modules).map(
  ([name, race]) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), race] as const,
)

const named = process.argv.slice(2)
const names = races.map(([name]) => name)
const unknown = named.filter((name) => !names.includes(name))
if (unknown.length > 0) throw new Error(`there is no race ${unknown.join()}, but ${names.join()}`)

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'races' })
for (const [name, { naive, ours }] of races) {
  if (named.length > 0 && !named.includes(name)) continue
  const [theirs, mine] = await Promise.all([naive(redis), ours(redis)])
  console.log(`${name}: naive ${theirs}, ours ${mine}`)
}
