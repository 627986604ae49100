import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SlotwiseError } from '../../src/errors.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type ClusterNode, type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { proxied } from '../../src/testing/faults/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { Announcer, Hearer } from '../support/announcing.js'
import { promotion } from '../support/port-traffic.js'

/** From when the owner accepts what is published until the subscriber hears again. */
const RECOVERY_MS = 1500
const DEADLINE_MS = 500
const CHANNELS = 6
/**
 * A primary that hands over keeps its subscribers and tells them nothing, while other nodes pass on to it what they
 * happen to: it is told of at the next look, a second later by default and a quarter more, and the time that takes.
 */
const LATE_MS = 1250 + 500

let cluster: LocalCluster
/** Publishes, and does what is to be done. */
let control: RedisPort
let announcers: readonly Announcer[] = []
let subscribers: readonly {
  readonly adapter: string
  readonly port: RedisPort
  readonly hearers: readonly Hearer[]
}[] = []

beforeAll(async () => {
  const config = { 'cluster-require-full-coverage': 'no' }
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000, config })
  const options = { ...cluster.connectOptions, commandTimeoutMs: DEADLINE_MS }
  control = await ADAPTERS[0][1](options)
  const channels = Array.from({ length: CHANNELS }, (_, i) =>
    keyOf({ namespace: '', pattern: 'channel', name: 'numbers' }, `c${i}`),
  )
  subscribers = await Promise.all(
    ADAPTERS.map(async ([adapter, connect]) => {
      const port = await connect({ ...options, clientName: `hears-${adapter}` })
      const hearers = channels.map(() => new Hearer())
      await Promise.all(hearers.map((hearer, i) => port.subscribe(channels[i] ?? ('' as Key), hearer)))
      return { adapter, port, hearers }
    }),
  )
  announcers = channels.map((channel) => new Announcer(control, channel))
}, 60_000)
afterAll(async () => {
  await Promise.all(announcers.map((announcer) => announcer.stop()))
  await Promise.all([control, ...subscribers.map(({ port }) => port)].map((port) => port.close()))
  await cluster.stop()
})
beforeEach(() => cluster.whenHealthy(), 30_000)

const ownerOf = (channel: Key): ClusterNode => {
  const owner = control.topology().ownerOf(slotOf(channel))
  expect.assert(owner !== undefined)
  return owner
}
const first = () => announcers[0]?.channel ?? ('' as Key)
const indexOf = ({ port }: { readonly port: number }) => cluster.nodes.findIndex((node) => node.port === port)
const otherThan = (id: string): ClusterNode => {
  const other = announcers.map(({ channel }) => ownerOf(channel)).find((owner) => owner.id !== id)
  expect.assert(other !== undefined)
  return other
}

/** Every hearer hears what is published from here on. */
async function hearingAgain() {
  // Until its port has heard of it, a subscriber hears what a primary that became a replica is passed on.
  const ownersOf = (port: RedisPort) =>
    announcers.map(({ channel }) => port.topology().ownerOf(slotOf(channel))?.id).join(' ')
  const agree = () => new Set([control, ...subscribers.map(({ port }) => port)].map(ownersOf)).size === 1
  await expect.poll(agree, { timeout: 15_000 }).toBe(true)
  const from = announcers.map(({ published }) => published.length)
  for (const { hearers } of subscribers) {
    for (const [i, hearer] of hearers.entries())
      await expect.poll(() => hearer.lastNumber, { timeout: 10_000 }).toBeGreaterThan((from[i] ?? 0) + 5)
  }
}

/** What each has been told so far. */
const marks = () => subscribers.map(({ hearers }) => hearers.map(({ heard }) => heard.length))

/** What was missed since then without a word; with `lateMs`, without a word so much later. */
function silentGaps(since: readonly (readonly number[])[], lateMs = 0): unknown[] {
  const failures = announcers.flatMap((announcer) => announcer.failures)
  expect(failures.filter((error) => !(error instanceof SlotwiseError))).toEqual([])
  return subscribers.flatMap(({ adapter, hearers }, nth) => {
    const publishedTo = (i: number) => announcers[i]?.published ?? []
    const missed = hearers.map((hearer, i) => hearer.missed(publishedTo(i)))
    console.log(`${adapter}: so far ${missed.join(', ')} missed, each within an interruption`)
    return hearers.flatMap((hearer, i) => [
      ...(lateMs === 0 ? hearer.violations(publishedTo(i), since[nth]?.[i]) : []),
      ...hearer.unexplained(publishedTo(i), LATE_MS),
    ])
  })
}

/** Does something to the owner of the first channel; who listens there is told, and back soon. What was a silent gap. */
async function through(fault: (owner: ClusterNode) => Promise<number>, lateMs = 0): Promise<unknown[]> {
  const since = marks()
  const owner = ownerOf(first())
  const concerned = announcers.flatMap(({ channel }, i) => (ownerOf(channel).id === owner.id ? [i] : []))
  const before = subscribers.map(({ hearers }) => hearers.map(({ interruptions }) => interruptions))
  const backAt = await fault(owner)
  await hearingAgain()
  for (const [nth, { adapter, hearers }] of subscribers.entries()) {
    for (const i of concerned) {
      const hearer = hearers[i]
      expect.assert(hearer !== undefined)
      if (i === 0) expect(hearer.interruptions).toBeGreaterThan(before[nth]?.[i] ?? 0)
      expect(hearer.resumedAt - backAt).toBeLessThan(RECOVERY_MS)
    }
    console.log(`${adapter}: hears again ${((hearers[0]?.resumedAt ?? 0) - backAt).toFixed(0)} ms after`)
  }
  // However often it was brought back: one connection to a node.
  for (const id of new Set(announcers.map(({ channel }) => ownerOf(channel).id))) {
    const list = String(await control.onNode(id, ['CLIENT', 'LIST', 'TYPE', 'pubsub']))
    for (const { adapter } of subscribers)
      expect(list.split(`name=hears-${adapter} `).length - 1).toBeLessThanOrEqual(1)
  }
  return silentGaps(since, lateMs)
}

describe('subscribers over both adapters miss nothing without being told, and are back soon, when the owner', () => {
  it('is killed', async () => {
    const index = indexOf(ownerOf(first()))
    try {
      const gaps = await through(async () => {
        await cluster.kill(index)
        return await promotion(cluster, control, index)
      })
      expect(gaps).toEqual([])
    } finally {
      await cluster.restart(index)
    }
  })

  it('stands still, is replaced, and wakes up', async () => {
    const gaps = await through(async (owner) => {
      const index = indexOf(owner)
      await cluster.pause(index)
      const promotedAt = await promotion(cluster, control, index)
      await cluster.resume(index)
      return promotedAt
    })
    expect(gaps).toEqual([])
  })

  it('hands over to its replica', async () => {
    const gaps = await through(async (owner) => {
      const replicas = () => control.topology().replicasOf(owner.id)
      await expect.poll(() => replicas().length, { timeout: 5000 }).toBe(1)
      const replica = replicas()[0]?.id ?? ''
      await control.onNode(replica, ['CLUSTER', 'FAILOVER'])
      await expect
        .poll(() => control.topology().nodes.find(({ id }) => id === replica)?.role, { timeout: 10_000 })
        .toBe('primary')
      return performance.now()
    }, LATE_MS)
    expect(gaps).toEqual([])
  })

  it('gives the slot away, and gets it back', async () => {
    for (let i = 0; i < 2; i++) {
      const gaps = await through(async (from) => {
        const slot = slotOf(first())
        const to = otherThan(from.id)
        await control.onNode(to.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id])
        await control.onNode(from.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id])
        for (const { id } of [to, from]) await control.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', to.id])
        return performance.now()
      })
      expect(gaps).toEqual([])
    }
  })

  it('says sunsubscribe, and serves the slot again at once', async () => {
    const gaps = await through(async ({ id }) => {
      await control.onNode(id, ['CLUSTER', 'DELSLOTS', slotOf(first())])
      await control.onNode(id, ['CLUSTER', 'ADDSLOTS', slotOf(first())])
      return performance.now()
    })
    expect(gaps).toEqual([])
  })

  it('ends their connections', async () => {
    const gaps = await through(async ({ id }) => {
      await control.onNode(id, ['CLIENT', 'KILL', 'TYPE', 'pubsub'])
      return performance.now()
    })
    expect(gaps).toEqual([])
  })

  it('stands still for less than the node timeout, which loses nothing', async () => {
    const since = marks()
    const index = indexOf(ownerOf(first()))
    await cluster.pause(index)
    await sleep(300)
    await cluster.resume(index)
    await hearingAgain()
    expect(silentGaps(since)).toEqual([])
  })
})

it.each(ADAPTERS)(
  'over %s, a connection that has silently died is noticed without a message, and made anew',
  async (_, connect) => {
    await using nodes = await proxied(cluster.connectOptions)
    await using port = await connect({ ...nodes.connectOptions, commandTimeoutMs: DEADLINE_MS })
    const hearer = new Hearer()
    await port.subscribe(first(), hearer)
    const proxy = nodes.proxies[indexOf(ownerOf(first()))]
    expect.assert(proxy !== undefined)
    const from = performance.now()
    proxy.drop('toClient')
    await expect.poll(() => hearer.interruptions, { timeout: 5000 }).toBe(1)
    // The next sign of life is asked for within a second, and waited for as long as for any answer.
    expect(performance.now() - from).toBeLessThan(1000 + DEADLINE_MS + 500)
    await proxy.heal()
    const healedAt = performance.now()
    await expect.poll(() => hearer.resumedAt, { timeout: 5000 }).toBeGreaterThan(healedAt)
    expect(hearer.resumedAt - healedAt).toBeLessThan(RECOVERY_MS)
    await expect.poll(() => hearer.lastNumber).toBeGreaterThan(10)
    expect(hearer.violations(announcers[0]?.published ?? [])).toEqual([])
  },
)
