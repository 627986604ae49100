import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { startLocalCluster } from '../../src/local/index.js'
import { SLOTS } from '../../src/redis/index.js'
import { proxied } from '../../src/testing/faults/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { rounds } from '../support/budget.js'
import { promotion, Traffic } from '../support/port-traffic.js'

const DEADLINE_MS = 500
/** Over both adapters together; the share goes through each fault once. */
const CALLS = rounds(4000, 100_000)
/** The share leaves elections and partitions to the tests that are about them. */
const WITH_ELECTIONS = rounds(0, 1) === 1

it(`of ${CALLS.toLocaleString('en')} calls that must not run twice none does, through every fault, over both adapters`, async () => {
  const config = { 'cluster-require-full-coverage': 'no' }
  await using cluster = await startLocalCluster({
    nodeTimeoutMs: 1000,
    networkFaults: WITH_ELECTIONS,
    config,
  })
  await using nodes = await proxied(cluster.connectOptions)
  await using control = await ADAPTERS[0][1]({ ...cluster.connectOptions, commandTimeoutMs: DEADLINE_MS })
  const ports = await Promise.all(
    ADAPTERS.map(([, connect]) => connect({ ...nodes.connectOptions, commandTimeoutMs: DEADLINE_MS })),
  )
  const all = ports.map((port, i) => new Traffic(port, `once-${i}`))
  const primaries = () => {
    const topology = control.topology()
    // One that was killed counts as a primary until it is back as a replica.
    const owners = new Set(Array.from({ length: SLOTS }, (_, slot) => topology.ownerOf(slot)?.id))
    return topology.nodes.filter(({ id }) => owners.has(id))
  }
  const victim = () => {
    const [primary] = primaries()
    return cluster.nodes.findIndex(({ port }) => port === primary?.port)
  }
  const elected = async (harm: (index: number) => Promise<void>, mend: (index: number) => Promise<void>) => {
    const index = victim()
    await harm(index)
    try {
      await promotion(cluster, control, index)
    } finally {
      await mend(index)
    }
  }
  const brief: Record<string, () => Promise<unknown>> = {
    'scripts forgotten': () => control.onEachPrimary(['SCRIPT', 'FLUSH']),
    'connections broken': () => control.onEachPrimary(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']),
    'answers lost': async () => {
      for (const proxy of nodes.proxies) proxy.loseReplies(2)
      await sleep(50)
      await Promise.all(nodes.proxies.map((proxy) => proxy.heal()))
    },
    'half-open connections': async () => {
      const proxy = nodes.proxies[victim()]
      proxy?.drop()
      await sleep(DEADLINE_MS + 200)
      await proxy?.heal()
    },
    'stood still': async () => {
      const index = victim()
      await cluster.pause(index)
      await sleep(700)
      await cluster.resume(index)
    },
    'slots moved': async () => {
      const [to, from] = primaries()
      const slots = { from: [from?.id ?? ''], to: to?.id ?? '', slots: 300 }
      await moveSlots({ nodes: cluster.connectOptions.nodes, ...slots })
    },
    'handed over': async () => {
      const [primary] = primaries()
      const replicas = () => control.topology().replicasOf(primary?.id ?? '')
      await expect.poll(() => replicas().length, { timeout: 10_000 }).toBeGreaterThan(0)
      await control.onNode(replicas()[0]?.id ?? '', ['CLUSTER', 'FAILOVER'])
      const owner = () => primaries().some(({ id }) => id === primary?.id)
      await expect.poll(owner, { timeout: 10_000 }).toBe(false)
    },
  }
  const elections: typeof brief = {
    killed: () =>
      elected(
        (i) => cluster.kill(i),
        (i) => cluster.restart(i),
      ),
    'replaced while it stood still': () =>
      elected(
        (i) => cluster.pause(i),
        (i) => cluster.resume(i),
      ),
    'cut off': () =>
      elected(
        (i) => cluster.isolate(i),
        () => cluster.heal(),
      ),
  }
  const faults = Object.entries(WITH_ELECTIONS ? { ...brief, ...elections } : brief)
  let struck = 0
  const called = () => all.reduce((sum, { onces }) => sum + onces.length, 0)
  try {
    for (let i = 0; i < faults.length || called() < CALLS; i++) {
      await cluster.whenHealthy()
      const [name, strike] = faults[i % faults.length] ?? ['', async () => {}]
      await strike()
      struck++
      for (const traffic of all) {
        const before = traffic.succeeded
        const enough = () => traffic.succeeded - before
        await expect.poll(enough, { timeout: 10_000, message: name }).toBeGreaterThan(200)
      }
      // Two rounds of all faults, with as many calls before each.
      const share = CALLS * Math.min(1, (i + 1) / (faults.length * 2))
      if (WITH_ELECTIONS) await expect.poll(called, { timeout: 120_000 }).toBeGreaterThan(share)
    }
    await expect.poll(called, { timeout: 120_000 }).toBeGreaterThanOrEqual(CALLS)
  } finally {
    await Promise.all(all.map((traffic) => traffic.stop()))
  }
  await cluster.whenHealthy()
  for (const [i, traffic] of all.entries()) {
    const missing = await traffic.missing()
    // Each fault takes along what is on its way, at its beginning and at its end.
    const { unknown, 'not-executed': not } = await traffic.expectSound(DEADLINE_MS, struck * 2)
    const sum = (counts: Record<number, number>) => Object.values(counts).reduce((a, b) => a + b, 0)
    console.log(
      `${ADAPTERS[i]?.[0]}: ${traffic.onces.length} calls through ${struck} faults, ${traffic.succeeded} acknowledged, ${sum(unknown)} unknown (${unknown[1] ?? 0} of them executed), ${sum(not)} not executed, 0 twice; ${missing.length} acknowledged and lost to failovers${missing.length > 0 ? `: ${missing.slice(0, 20).join(', ')}` : ''}`,
    )
    if (!WITH_ELECTIONS) expect(missing).toEqual([])
  }
  await Promise.all(ports.map((port) => port.close()))
}, 60_000)
