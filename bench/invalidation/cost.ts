import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { placeIn } from '../cache/probes.js'
import { TTL_MS, type Value, valueOf } from '../cache/subject.js'
import { inTurns, median } from '../measuring/rates.js'
import { MAX_STALENESS_MS } from './slotwise.js'
import { MAX_ENTRIES } from './subject.js'

const KEYS = 100
const CHANGES_PER_SECOND = 100
const SECONDS = 4
const ROUNDS = 3

/** What a level costs each primary, each second, beyond what the same process without one does. */
export interface Cost extends Spent {
  readonly what: string
}

interface Spent {
  readonly commands: number
  readonly bytes: number
}

/** By the servers' own counts. */
export async function measureCost(cluster: LocalCluster, port: RedisPort): Promise<readonly Cost[]> {
  const run = async (hasLevel: boolean, isBusy: boolean, changes: boolean): Promise<Spent> => {
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
    // What had to be proved one by one after the silence is proved now.
    if (isBusy) await readAll()
    const before = await counted(port)
    const from = performance.now()
    // The same number of each in every run, however late the machine is.
    for (let n = 0; n < SECONDS * CHANGES_PER_SECOND; n++) {
      if (isBusy) await readAll()
      if (changes) await writer.set(`changed-${n}`, valueOf('changed'))
      await sleep(Math.max(0, from + ((n + 1) * 1000) / CHANGES_PER_SECOND - performance.now()))
    }
    const after = await counted(port)
    const each = ((performance.now() - from) / 1000) * after.primaries
    return {
      commands: (after.commands - before.commands) / each,
      bytes: (after.bytes - before.bytes) / each,
    }
  }
  const [quiet, changing, idle, busy, told] = await inTurns(ROUNDS, [
    () => run(false, false, false),
    () => run(false, false, true),
    () => run(true, false, false),
    () => run(true, true, false),
    () => run(true, false, true),
  ])
  const beyond = (
    what: string,
    those: readonly Spent[] | undefined,
    without: readonly Spent[] | undefined,
  ): Cost => {
    const of = (field: keyof Spent) =>
      median((those ?? []).map((one, round) => one[field] - (without?.[round]?.[field] ?? Number.NaN)))
    return { what, commands: of('commands'), bytes: of('bytes') }
  }
  return [
    beyond('idle', idle, quiet),
    beyond('busy: hits all the time', busy, quiet),
    beyond(`idle, ${CHANGES_PER_SECOND} changes a second elsewhere`, told, changing),
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
