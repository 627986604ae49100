import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import type { LocalCluster } from 'slotwise/local'
import { type Key, keyOf, type RedisPort, slotOf } from 'slotwise/redis'
import { placeIn } from '../cache/probes.js'
import { TTL_MS, type Value, valueOf } from '../cache/subject.js'
import { monitor } from '../measuring/monitor.js'
import { inTurns } from '../measuring/rates.js'
import { type OneByOne, oneByOne } from './one-by-one.js'
import { MAX_STALENESS_MS } from './slotwise.js'
import { MAX_ENTRIES } from './subject.js'

const KEYS = 1000
const COUNTS = [0, 1, 4, 16] as const
/** Different tags, so that not all of them lie side by side in a processor's cache. */
const TAGS = 2000

export interface Tagged {
  readonly tags: number
  readonly rounds: readonly OneByOne[]
}

/** What a hit in the process takes whose entry bears so many tags. */
export async function measureTagged(
  cluster: LocalCluster,
  port: RedisPort,
  { rounds, ms }: { readonly rounds: number; readonly ms: number },
): Promise<readonly Tagged[]> {
  const local = { maxEntries: MAX_ENTRIES, maxStalenessMs: MAX_STALENESS_MS }
  await using cache = new Cache<Value>(port, { name: placeIn(cluster).prefix, ttlMs: TTL_MS, local })
  const reads = COUNTS.map((count) => {
    const wishes = Array.from({ length: KEYS }, (_, n) => ({
      id: `tagged-${count}-${n}`,
      options: { tags: Array.from({ length: count }, (__, i) => `tag-${(n * 17 + i) % TAGS}`) },
    }))
    return (i: number) => {
      const wish = wishes[i % KEYS]
      const { id = '', options = {} } = wish ?? {}
      return cache.getOrLoad(id, options, async () => valueOf(id))
    }
  })
  for (let round = 0; round < 3; round++) {
    for (const read of reads) for (let i = 0; i < KEYS; i++) await read(i)
    await sleep(100)
  }
  for (const read of reads) await oneByOne(read, ms)
  const measured = await inTurns(
    rounds,
    reads.map((read) => () => oneByOne(read, ms)),
  )
  return COUNTS.map((tags, i) => ({ tags, rounds: measured[i] ?? [] }))
}

export interface Borne {
  readonly entries: number
  /** Commands that one invalidation sends. */
  readonly commands: readonly string[]
  /** What each invalidation took. */
  readonly ms: readonly number[]
  /** Of ten of the entries, those that were loaded anew afterwards. */
  readonly reloaded: number
}

const INVALIDATIONS = 500
const SAMPLE = 10

/** What it takes to invalidate a tag that so many entries bear, in turns. */
export async function measureBorne(
  cluster: LocalCluster,
  port: RedisPort,
  counts: readonly number[],
): Promise<readonly Borne[]> {
  const { prefix } = placeIn(cluster)
  await using cache = new Cache<string>(port, { name: prefix, ttlMs: TTL_MS })
  const idOf = (count: number, n: number) => `of-${count}-${n}`
  const tags = new Map(counts.map((count) => [count, tagAt(port, prefix, `borne-by-${count}`)]))
  const tagOf = (count: number) => tags.get(count) ?? ''
  for (const count of counts) {
    await cache.set('template', 'small', { tags: [tagOf(count)] })
    await copy(port, prefix, (n) => idOf(count, n), count)
  }
  const isLoaded = async (count: number, n: number) => {
    let loads = 0
    await cache.getOrLoad(idOf(count, n), { tags: [tagOf(count)] }, async () => `${++loads}`)
    return loads > 0
  }
  for (const count of counts) {
    // What the fast writer has written is entries, or there is nothing to invalidate.
    if (await isLoaded(count, count - 1)) throw new Error('what was written is not found')
  }
  const monitored = await monitor(cluster, prefix)
  const commands: (readonly string[])[] = []
  try {
    for (const count of counts)
      commands.push(await monitored.during(() => cache.invalidateTags([tagOf(count)])))
  } finally {
    monitored.close()
  }
  const reloaded: number[] = []
  for (const count of counts) {
    const ids = Array.from({ length: SAMPLE }, (_, i) => Math.floor((i * (count - 1)) / SAMPLE))
    const loaded = await Promise.all(ids.map((n) => isLoaded(count, n)))
    reloaded.push(loaded.filter(Boolean).length)
  }
  const took = await inTurns(
    INVALIDATIONS,
    counts.map((count) => async () => {
      const from = performance.now()
      await cache.invalidateTags([tagOf(count)])
      return performance.now() - from
    }),
  )
  return counts.map((entries, i) => ({
    entries,
    commands: commands[i] ?? [],
    ms: took[i] ?? [],
    reloaded: reloaded[i] ?? 0,
  }))
}

/** A tag that the owner of the first slot has, so that it is the same server that is asked each time. */
function tagAt(port: RedisPort, name: string, word: string): string {
  const topology = port.topology()
  for (let n = 0; ; n++) {
    const tag = `${word}-${n}`
    const slot = slotOf(keyOf({ namespace: port.namespace, pattern: 'tag', name }, tag))
    if (topology.ownerOf(slot)?.id === topology.ownerOf(0)?.id) return tag
  }
}

/** So many at a time: all of it together is not to be held in this process. */
const AT_ONCE = 2000

/** Writes the entry `template` again under other ids, as Redis itself packs it. */
async function copy(
  port: RedisPort,
  name: string,
  idOf: (n: number) => string,
  count: number,
): Promise<void> {
  const entryOf = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name }, id)
  const template = entryOf('template')
  const packed = await port.call(
    { key: template, command: ['DUMP', template], repeat: 'safe' },
    { binary: true },
  )
  if (!Buffer.isBuffer(packed)) throw new Error('there is no template')
  for (let from = 0; from < count; from += AT_ONCE) {
    const calls = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => {
      const key = entryOf(idOf(from + i))
      return { key, command: ['RESTORE', key, TTL_MS, packed, 'REPLACE'], repeat: 'safe' } as const
    })
    const results = await port.pipeline(calls, { deadlineMs: 30_000 })
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
