import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { proxied } from 'slotwise/testing/faults'
import { monitor } from '../measuring/monitor.js'
import { placeIn } from './server.js'
import { LIMITS } from './speed.js'
import type { Limit, Open, Place } from './subject.js'
import { SUBJECTS, UNIONS } from './subjects.js'

export interface Cost {
  readonly name: string
  readonly limits: number
  /** What reached the servers for one decision (MONITOR), not what scripts run there. */
  readonly commands: readonly string[]
  /** On the wire for each decision, through a proxy that counts. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of all keys of one id (MEMORY USAGE); unknown where its keys are. */
  readonly memory: number | undefined
  /** Of those keys themselves, which are part of all of this. */
  readonly keyBytes: number | undefined
}

const DECISIONS = 1000
const ID = 'customer-12345'

/** What one decision sends, and what it leaves behind. Nobody else may use the servers meanwhile. */
export async function measureCosts(cluster: LocalCluster, port: RedisPort): Promise<readonly Cost[]> {
  const costs: Cost[] = []
  const measure = async (subjects: Readonly<Record<string, Open>>, limits: readonly Limit[]) => {
    for (const [name, open] of Object.entries(subjects)) {
      costs.push({ name, limits: limits.length, ...(await costOf(cluster, port, open, limits)) })
    }
  }
  await measure(UNIONS, LIMITS)
  await measure(SUBJECTS, LIMITS.slice(1, 2))
  return costs
}

async function costOf(cluster: LocalCluster, port: RedisPort, open: Open, limits: readonly Limit[]) {
  await using nodes = await proxied(cluster.connectOptions)
  const bytes = () =>
    nodes.proxies.reduce(
      (sum, proxy) => {
        const { bytesToServer, bytesToClient } = proxy.stats()
        return { in: sum.in + bytesToServer, out: sum.out + bytesToClient }
      },
      { in: 0, out: 0 },
    )
  const { endpointMap } = nodes.connectOptions
  const place: Place = { ...placeIn(cluster), endpointMap }
  const reached = { ...place, nodes: place.nodes.map(endpointMap) }
  const subject = await open(reached, limits)
  try {
    // Its script is known to the server by then, and its topology to the client.
    for (let i = 0; i < 20; i++) await subject.take(ID)
    const commands = await commandsOf(cluster, place, () => subject.take(ID))
    const before = bytes()
    for (let i = 0; i < DECISIONS; i++) await subject.take(ID)
    const after = bytes()
    return {
      commands,
      // What a client sends by itself meanwhile is among it: some bytes in a thousand decisions.
      bytesIn: Math.round((after.in - before.in) / DECISIONS),
      bytesOut: Math.round((after.out - before.out) / DECISIONS),
      memory: await memoryOf(port, subject.keysOf?.(ID)),
      keyBytes: subject.keysOf?.(ID).reduce((sum, key) => sum + key.length, 0),
    }
  } finally {
    await subject.close()
  }
}

async function commandsOf(cluster: LocalCluster, { prefix }: Place, act: () => Promise<unknown>) {
  const monitored = await monitor(cluster, prefix)
  try {
    return await monitored.during(act)
  } finally {
    monitored.close()
  }
}

async function memoryOf(port: RedisPort, keys: readonly string[] | undefined): Promise<number | undefined> {
  if (keys === undefined) return undefined
  let sum = 0
  for (const key of keys) {
    // Who does not have it says so.
    const answers = await port.onEachPrimary(['MEMORY', 'USAGE', key, 'SAMPLES', '0'])
    sum += answers.reduce(
      (bytes, { result }) => bytes + (result.status === 'fulfilled' ? Number(result.value) : 0),
      0,
    )
  }
  return sum
}
