import { Redis } from 'ioredis'
import { Cache } from 'slotwise/cache'
import type { LocalCluster } from 'slotwise/local'
import { type Key, keyOf, type RedisPort, slotOf } from 'slotwise/redis'
import { inTurns, median } from '../measuring/rates.js'
import { placeIn } from './probes.js'
import { TTL_MS, type Value, valueOf } from './subject.js'

const IDS = Array.from({ length: 100 }, (_, n) => `many-${n}`)
/** Calls of one measurement, one after the other. */
const CALLS = 200

/** One round: the median of a call, and the processor time of this process for each. */
export interface Round {
  readonly ms: number
  readonly cpuMs: number
}

export interface Many {
  readonly ours: readonly Round[]
  /** A pipeline to each node by hand, all at once: as slow as the slowest. */
  readonly byHand: readonly Round[]
  /** The pipeline to the node with most of the keys, while the others have nothing to do. */
  readonly oneNode: readonly Round[]
}

/** A hundred entries over all slots, beside pipelines of GETs that know where each key lies, parsed as well. */
export async function measureMany(cluster: LocalCluster, port: RedisPort, rounds: number): Promise<Many> {
  const { prefix } = placeIn(cluster)
  // How long it takes is what is asked for, not whether that is in time.
  await using cache = new Cache<Value>(port, {
    name: prefix,
    ttlMs: TTL_MS,
    budgetMs: { min: 2000, max: 2000 },
  })
  for (const id of IDS) await cache.set(id, valueOf(id))
  const keysOn = new Map<number, Key[]>()
  for (const id of IDS) {
    const key = keyOf({ namespace: port.namespace, pattern: 'plain', name: prefix }, id)
    await port.call({ key, command: ['SET', key, JSON.stringify(valueOf(id)), 'PX', TTL_MS], repeat: 'safe' })
    const at = port.topology().ownerOf(slotOf(key))?.port ?? 0
    keysOn.set(at, [...(keysOn.get(at) ?? []), key])
  }
  const nodes = [...keysOn].map(([at, keys]) => ({
    client: new Redis({ host: '127.0.0.1', port: at }),
    keys,
  }))
  nodes.sort((a, b) => b.keys.length - a.keys.length)
  const pipeline = async ({ client, keys }: (typeof nodes)[number]): Promise<readonly Value[]> => {
    const replies = (await client.pipeline(keys.map((key) => ['get', key])).exec()) ?? []
    return replies.map(([, text]) => JSON.parse(String(text)) as Value)
  }
  const timed = (act: () => Promise<readonly unknown[]>, count: number) => async (): Promise<Round> => {
    const before = process.cpuUsage()
    const took: number[] = []
    for (let call = 0; call < CALLS; call++) {
      const from = performance.now()
      const values = await act()
      took.push(performance.now() - from)
      if (values.filter((value) => value !== undefined).length !== count)
        throw new Error('values are missing')
    }
    const { user, system } = process.cpuUsage(before)
    return { ms: median(took), cpuMs: (user + system) / 1000 / CALLS }
  }
  try {
    const [first] = nodes
    if (first === undefined) throw new Error('no node has any of the keys')
    const measurements = [
      timed(() => cache.getMany(IDS), IDS.length),
      timed(async () => (await Promise.all(nodes.map(pipeline))).flat(), IDS.length),
      timed(() => pipeline(first), first.keys.length),
    ]
    for (const warmUp of measurements) await warmUp()
    const [ours = [], byHand = [], oneNode = []] = await inTurns(rounds, measurements)
    return { ours, byHand, oneNode }
  } finally {
    for (const { client } of nodes) client.disconnect()
  }
}
