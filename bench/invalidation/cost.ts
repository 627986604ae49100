import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { placeIn } from '../cache/probes.js'
import { TTL_MS, type Value, valueOf } from '../cache/subject.js'
import { MAX_STALENESS_MS } from './slotwise.js'
import { MAX_ENTRIES } from './subject.js'

const KEYS = 100
const CHANGES_PER_SECOND = 100
const SECONDS = 5

/** What a level costs each primary, each second, beyond what the same process without one does. */
export interface Cost {
  readonly what: string
  readonly commands: number
  readonly bytes: number
}

/** By the servers' own counts. */
export async function measureCost(cluster: LocalCluster, port: RedisPort): Promise<readonly Cost[]> {
  const run = async (hasLevel: boolean, isBusy: boolean, changes: boolean) => {
    const { prefix } = placeIn(cluster)
    const level = { local: { maxEntries: MAX_ENTRIES, maxStalenessMs: MAX_STALENESS_MS } }
    await using own = await connect({ ...cluster.connectOptions, namespace: 'bench' })
    await using cache = new Cache<Value>(own, { name: prefix, ttlMs: TTL_MS, ...(hasLevel ? level : {}) })
    await using writer = new Cache<Value>(port, { name: prefix, ttlMs: TTL_MS })
    const ids = Array.from({ length: KEYS }, (_, n) => `cost-${n}`)
    const readAll = () => Promise.all(ids.map((id) => cache.getOrLoad(id, async () => valueOf(id))))
    for (let round = 0; round < 5; round++) {
      await readAll()
      await sleep(MAX_STALENESS_MS / 2)
    }
    // A proof that was wanted before is asked for, and nothing else is under way.
    await sleep(2 * MAX_STALENESS_MS)
    const before = await counted(port)
    const from = performance.now()
    for (let n = 0; performance.now() - from < SECONDS * 1000; n++) {
      if (isBusy) await readAll()
      if (changes) await writer.set(`changed-${n}`, valueOf('changed'))
      await sleep(1000 / CHANGES_PER_SECOND)
    }
    const after = await counted(port)
    const each = (performance.now() - from) / 1000 / after.primaries
    return {
      commands: (after.commands - before.commands) / each,
      bytes: (after.bytes - before.bytes) / each,
    }
  }
  const without = await run(false, false, false)
  const changing = await run(false, false, true)
  const minus = (what: string, one: Omit<Cost, 'what'>, other: Omit<Cost, 'what'>): Cost => ({
    what,
    commands: one.commands - other.commands,
    bytes: one.bytes - other.bytes,
  })
  return [
    minus('idle', await run(true, false, false), without),
    minus('busy: hits all the time', await run(true, true, false), without),
    minus(`idle, ${CHANGES_PER_SECOND} changes a second elsewhere`, await run(true, false, true), changing),
  ]
}

async function counted(port: RedisPort) {
  const [stats, commands] = await Promise.all(
    ['stats', 'commandstats'].map((section) => port.onEachPrimary(['INFO', section])),
  )
  const texts = (answers: typeof stats) =>
    (answers ?? []).map(({ result }) => {
      if (result.status === 'rejected') throw result.reason
      return String(result.value)
    })
  const sum = (text: string, pattern: RegExp) =>
    [...text.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0)
  return {
    primaries: stats?.length ?? 0,
    bytes: sum(texts(stats).join('\n'), /^total_net_output_bytes:(\d+)/gm),
    commands: sum(texts(commands).join('\n'), /^cmdstat_[^:]+:calls=(\d+)/gm),
  }
}
