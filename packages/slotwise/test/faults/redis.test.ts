import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { RedisUnavailableError } from '../../src/errors.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type RedisPort, slotOf } from '../../src/redis/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { firstWrite, promotion, Traffic } from '../support/port-traffic.js'

/** From the first write that whoever serves the slots then takes, to the last failure that a caller sees. */
const RECOVERY_MS = 1500
const DEADLINE_MS = 500
const NODE_TIMEOUT_MS = 1000
/** What was on its way to a node that was killed comes to its end meanwhile. */
const LATE_MS = 50
/** A primary that hands over on purpose makes its callers wait until its replica has everything, five seconds at most. */
const PATIENT_MS = 6000
/** So many calls that must not run twice succeed after each fault. */
const ONCES = 500

let cluster: LocalCluster
let serial = 0

/** Both adapters meet the same faults at the same time. */
let ports: readonly RedisPort[] = []
let all: readonly (readonly [adapter: string, traffic: Traffic])[] = []

beforeAll(async () => {
  // Else all refuse to serve while one shard is gone, which is the cluster's choice and not the port's.
  const config = { 'cluster-require-full-coverage': 'no' }
  cluster = await startLocalCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS, config })
}, 60_000)
afterAll(() => cluster.stop())

async function begin(commandTimeoutMs: number): Promise<void> {
  await cluster.whenHealthy()
  const options = { ...cluster.connectOptions, commandTimeoutMs }
  ports = await Promise.all(ADAPTERS.map(([, connect]) => connect(options)))
  all = ADAPTERS.flatMap(([adapter], index) => {
    const port = ports[index]
    return port === undefined ? [] : [[adapter, new Traffic(port, `traffic-${++serial}`)] as const]
  })
  for (const [, traffic] of all) await expect.poll(() => traffic.onces.length).toBeGreaterThan(100)
}
/** Goes on until calls to every slot have succeeded again, for longer than any of them may take. */
async function settle(since: number): Promise<void> {
  for (const [, traffic] of all) {
    const before = traffic.succeeded
    const quietMs = () => performance.now() - Math.max(since, traffic.lastFailureAt)
    await expect.poll(quietMs, { timeout: 10_000 }).toBeGreaterThan(DEADLINE_MS + LATE_MS)
    await expect.poll(() => traffic.succeeded - before, { timeout: 10_000 }).toBeGreaterThan(ONCES)
  }
  await stop()
}
async function stop(): Promise<void> {
  await Promise.all(all.map(([, traffic]) => traffic.stop()))
}
/** What was sent again and again while it was down, and was told so by typed errors, works from when it is back. */
function expectBack(traffic: Traffic, backAt: number): string {
  const last = traffic.lastFailureAt
  expect(last - backAt).toBeLessThan(RECOVERY_MS)
  return `last failure ${(last - backAt).toFixed(0)} ms after that, ${traffic.failures.length} of ${traffic.onces.length + traffic.reads} calls failed`
}
const only = (): RedisPort => {
  const [port] = ports
  expect.assert(port !== undefined)
  return port
}
const indexOf = (node: { readonly port: number } | undefined) =>
  cluster.nodes.findIndex(({ port }) => port === node?.port)
const primaries = () =>
  only()
    .topology()
    .nodes.filter(({ role }) => role === 'primary')

beforeEach(() => begin(DEADLINE_MS))
afterEach(async () => {
  await stop()
  await Promise.all(ports.map((port) => port.close()))
})

// Waking up is a fault of its own: what is on its way then is answered by a node that was replaced.
describe.each([
  ['killed', 'kill', 'restart', 1],
  ['stopped where it stands', 'pause', 'resume', 2],
] as const)('a primary that is %s under load', (_, harm, mend, strikes) => {
  it('costs its slots until a replica is promoted, typed errors only, and no call runs twice', async () => {
    const index = indexOf(primaries()[0])
    const from = performance.now()
    await cluster[harm](index)
    try {
      const promotedAt = await promotion(cluster, only(), index)
      // The old one wakes up while the new one serves, and what it answers then counts for nothing.
      if (mend === 'resume') await cluster.resume(index)
      await settle(promotedAt)
      for (const [adapter, traffic] of all) {
        const back = expectBack(traffic, promotedAt)
        console.log(`${adapter}: promoted after ${(promotedAt - from).toFixed(0)} ms, ${back}`)
        const { resolved } = await traffic.expectSound(DEADLINE_MS, strikes)
        // What was lost was acknowledged by the old primary and had not reached the replica yet: milliseconds' worth.
        expect(resolved[0] ?? 0).toBeLessThan(traffic.onces.length / 20)
      }
    } finally {
      await cluster[mend](index)
    }
  })
})

it('a primary that stands still and goes on before anybody is elected loses nothing and runs nothing twice', async () => {
  const [primary] = primaries()
  const index = indexOf(primary)
  await cluster.pause(index)
  await sleep(NODE_TIMEOUT_MS * 0.75)
  await cluster.resume(index)
  const backAt = performance.now()
  await settle(backAt)
  expect(
    only()
      .topology()
      .nodes.find(({ id }) => id === primary?.id)?.role,
  ).toBe('primary')
  for (const [adapter, traffic] of all) {
    console.log(`${adapter}: back, ${expectBack(traffic, backAt)}`)
    const { resolved } = await traffic.expectSound(DEADLINE_MS, 1)
    expect(Object.keys(resolved)).toEqual(['1'])
  }
})

it('a shard that is gone altogether costs its own slots only, and works again from when its primary does', async () => {
  const [primary] = primaries()
  expect.assert(primary !== undefined)
  const index = indexOf(primary)
  const replicas = only().topology().replicasOf(primary.id).map(indexOf)
  await Promise.all(replicas.map((replica) => cluster.kill(replica)))
  const goneAt = performance.now()
  await cluster.kill(index)
  try {
    for (const [, traffic] of all) {
      const before = traffic.failures.length
      await expect.poll(() => traffic.failures.length - before, { timeout: 5000 }).toBeGreaterThan(20)
    }
    await cluster.restart(index)
    const backAt = await firstWrite([primary], only(), primary.id)
    await settle(backAt)
    const isElsewhere = (key: string) => only().topology().ownerOf(slotOf(key))?.id !== primary.id
    for (const [adapter, traffic] of all) {
      const slowest = traffic.slowest(isElsewhere)
      console.log(
        `${adapter}: gone for ${(backAt - goneAt).toFixed(0)} ms, slowest elsewhere ${slowest.toFixed(0)} ms, ${expectBack(traffic, backAt)}`,
      )
      expect(traffic.failures.filter(({ key }) => isElsewhere(key))).toEqual([])
      // Nobody waits for the shard that is gone.
      expect(slowest).toBeLessThan(DEADLINE_MS / 2 + traffic.loopDelayMs)
      const isCertain = (one: (typeof traffic.failures)[number]) =>
        !one.repeatable && one.startedAt > goneAt + LATE_MS
      const called = traffic.failures.filter(isCertain)
      expect(called.filter(({ error }) => !(error instanceof RedisUnavailableError))).toEqual([])
      await traffic.expectSound(DEADLINE_MS, 1)
    }
  } finally {
    await Promise.all([...replicas, index].map((gone) => cluster.restart(gone)))
  }
})

describe('with patience', () => {
  beforeEach(async () => {
    await stop()
    await Promise.all(ports.map((port) => port.close()))
    await begin(PATIENT_MS)
  })
  /** What anybody noticed. */
  const noticed = async () => {
    for (const [, traffic] of all) {
      expect(await traffic.expectSound(PATIENT_MS, 0)).toEqual({
        resolved: { 1: traffic.onces.length },
        unknown: {},
        'not-executed': {},
      })
    }
    return all.flatMap(([, { failures }]) => failures)
  }

  it('a failover that loses nothing is not noticed, and every call runs exactly once', async () => {
    const port = only()
    for (const { id } of port.topology().nodes.filter(({ role }) => role === 'replica')) {
      await port.onNode(id, ['CLUSTER', 'FAILOVER'])
      await expect
        .poll(() => port.topology().nodes.find((node) => node.id === id)?.role, { timeout: 10_000 })
        .toBe('primary')
    }
    await settle(performance.now())
    expect(await noticed()).toEqual([])
  })

  it('2,000 slots that move are not noticed, and every call runs exactly once', async () => {
    const [to, from] = primaries()
    const { tookMs } = await moveSlots({
      nodes: cluster.connectOptions.nodes,
      from: [from?.id ?? ''],
      to: to?.id ?? '',
      slots: 2000,
    })
    await settle(performance.now())
    for (const [adapter, { longestMs }] of all)
      console.log(`${adapter}: 2,000 slots in ${tookMs} ms, the longest call took ${longestMs.toFixed(0)} ms`)
    expect(await noticed()).toEqual([])
  })
})

it('broken connections and forgotten scripts are not noticed by what may be repeated, and the rest runs once at most', async () => {
  // As often as a call is repeated by default.
  const times = 3
  const control = await ADAPTERS[0][1]({ ...cluster.connectOptions })
  for (let i = 0; i < times; i++) {
    await control.onEachPrimary(['SCRIPT', 'FLUSH'])
    await control.onEachPrimary(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    for (const [, traffic] of all) {
      const before = traffic.succeeded
      await expect.poll(() => traffic.succeeded - before).toBeGreaterThan(200)
    }
  }
  await control.close()
  await stop()
  for (const [, traffic] of all) {
    expect(traffic.failures.filter(({ repeatable }) => repeatable)).toEqual([])
    // A connection that breaks under load takes some along.
    expect(traffic.failures.length).toBeGreaterThan(0)
    // Each primary's connections end at a moment of their own: so many faults, each of which a caller may meet.
    const { resolved, 'not-executed': not } = await traffic.expectSound(
      DEADLINE_MS,
      times * primaries().length,
    )
    expect(resolved).toEqual({ 1: traffic.succeeded })
    expect(not).toEqual({})
  }
})
