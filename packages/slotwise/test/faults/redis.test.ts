import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { OutcomeUnknownError } from '../../src/errors.js'
import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { rounds } from '../support/budget.js'
import { promotion, Traffic } from '../support/port-traffic.js'

/** From the first write that the promoted replica takes to the last failure that a caller sees. */
const RECOVERY_MS = 1500
const DEADLINE_MS = 500
/** A primary that hands over on purpose makes its callers wait until its replica has everything, five seconds at most. */
const PATIENT_MS = 6000
/** What a timer may be late by, besides what the event loop itself is. */
const LATE_MS = 50
/** So many calls that must not run twice go through each fault. */
const ONCES = rounds(500, 6000)

let cluster: LocalCluster
let port: RedisPort
let traffic: Traffic
let serial = 0
let deadlineMs = DEADLINE_MS

beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
}, 60_000)
afterAll(() => cluster.stop())
/** Goes on until calls to every slot have succeeded again for a while. */
async function settle(since: number): Promise<void> {
  const before = traffic.onces.length
  await expect.poll(() => performance.now() - since, { timeout: 5000 }).toBeGreaterThan(RECOVERY_MS)
  await expect.poll(() => traffic.onces.length - before, { timeout: 60_000 }).toBeGreaterThan(ONCES)
  await traffic.stop()
  // However it ended, and whatever happened.
  expect(traffic.longestMs).toBeLessThan(deadlineMs + LATE_MS + traffic.loopDelayMs)
  expect(traffic.untyped).toEqual([])
}

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const)('over %s', (_adapter, connect) => {
  const begin = async (ms: number) => {
    deadlineMs = ms
    port = await connect({ ...cluster.connectOptions, commandTimeoutMs: ms })
    traffic = new Traffic(port, `traffic-${++serial}`)
    await expect.poll(() => traffic.onces.length, { timeout: 5000 }).toBeGreaterThan(100)
  }
  const end = async () => {
    await traffic.stop()
    await port.close()
  }
  beforeEach(async () => {
    await cluster.whenHealthy()
    await begin(DEADLINE_MS)
  })
  afterEach(end)

  describe.each([
    ['killed', (index: number) => cluster.kill(index), (index: number) => cluster.restart(index)],
    [
      'stopped where it stands',
      (index: number) => cluster.pause(index),
      (index: number) => cluster.resume(index),
    ],
  ] as const)('a primary that is %s under load', (_, harm, mend) => {
    it('costs its slots until a replica is promoted, typed errors only, and no call runs twice', async () => {
      const index = cluster.nodes.findIndex(({ port: at }) =>
        port.topology().nodes.some((node) => node.role === 'primary' && node.port === at),
      )
      const from = performance.now()
      let promotedAt: number
      try {
        await harm(index)
        promotedAt = await promotion(cluster, port, index)
        await settle(promotedAt)
      } finally {
        await mend(index)
      }
      const last = Math.max(from, ...traffic.failures.map(({ atMs }) => atMs))
      console.log(
        `promoted after ${(promotedAt - from).toFixed(0)} ms, last failure ${(last - promotedAt).toFixed(0)} ms after that, ${traffic.failures.length} of ${traffic.onces.length + traffic.reads} calls failed`,
      )
      expect(last - promotedAt).toBeLessThan(RECOVERY_MS)
      // What was on its way when the fault struck, one call each, and nothing that was called later.
      const unknowns = traffic.failures.filter(
        ({ error, repeatable }) => !repeatable && error instanceof OutcomeUnknownError,
      )
      const node = `127.0.0.1:${cluster.nodes[index]?.port}`
      const atNode = unknowns.filter(({ error }) => (error as OutcomeUnknownError).node === node)
      expect(atNode.length).toBeLessThanOrEqual(traffic.callers)
      // A call that waited for the election may have been sent in its last moment.
      expect(unknowns.length - atNode.length).toBeLessThanOrEqual(traffic.callers)
      const { resolved, unknown, 'not-executed': not } = await traffic.executions()
      for (const counts of [resolved, unknown])
        expect(Object.keys(counts).every((times) => Number(times) <= 1)).toBe(true)
      expect(Object.keys(not).filter((times) => times !== '0')).toEqual([])
      // What was lost was acknowledged by the old primary and had not reached the replica yet: milliseconds' worth.
      expect(resolved[0] ?? 0).toBeLessThan(traffic.onces.length / 20)
    })
  })

  it('a failover that loses nothing is not noticed, and every call runs exactly once', async () => {
    await end()
    await begin(PATIENT_MS)
    const { nodes } = port.topology()
    for (const { id } of nodes.filter(({ role }) => role === 'replica')) {
      await port.onNode(id, ['CLUSTER', 'FAILOVER'])
      await expect
        .poll(() => port.topology().nodes.find((node) => node.id === id)?.role, { timeout: 10_000 })
        .toBe('primary')
      await sleep(100)
    }
    await settle(performance.now())
    expect(traffic.failures).toEqual([])
    expect(await traffic.executions()).toEqual({
      resolved: { 1: traffic.onces.length },
      unknown: {},
      'not-executed': {},
    })
  })

  it('2,000 slots that move are not noticed, and every call runs exactly once', async () => {
    await end()
    await begin(PATIENT_MS)
    const [to, from] = port.topology().nodes.filter(({ role }) => role === 'primary')
    const { tookMs } = await moveSlots({
      nodes: cluster.connectOptions.nodes,
      from: [from?.id ?? ''],
      to: to?.id ?? '',
      slots: 2000,
    })
    await settle(performance.now())
    console.log(`2,000 slots in ${tookMs} ms, the longest call took ${traffic.longestMs.toFixed(0)} ms`)
    expect(traffic.failures).toEqual([])
    expect(await traffic.executions()).toEqual({
      resolved: { 1: traffic.onces.length },
      unknown: {},
      'not-executed': {},
    })
  })

  it('broken connections and forgotten scripts are not noticed by what may be repeated, and the rest runs once at most', async () => {
    const replica = port.topology().nodes.find(({ role }) => role === 'replica')
    const index = cluster.nodes.findIndex((node) => node.port === replica?.port)
    await cluster.kill(index)
    const control = await connect({ ...cluster.connectOptions })
    // As often as a call is repeated by default.
    for (let i = 0; i < 3; i++) {
      await control.onEachPrimary(['SCRIPT', 'FLUSH'])
      await control.onEachPrimary(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
      const before = traffic.onces.length
      await expect.poll(() => traffic.onces.length - before).toBeGreaterThan(200)
    }
    await control.close()
    await settle(performance.now())
    expect(traffic.failures.filter(({ repeatable }) => repeatable)).toEqual([])
    const { resolved, unknown, 'not-executed': not } = await traffic.executions()
    expect(resolved).toEqual({ 1: traffic.onces.filter(({ outcome }) => outcome === 'resolved').length })
    expect(Object.keys(unknown).every((times) => Number(times) <= 1)).toBe(true)
    // A connection that breaks under load takes some along.
    expect(traffic.onces.some(({ outcome }) => outcome === 'unknown')).toBe(true)
    expect(not).toEqual({})
    await cluster.restart(index)
  })
})
