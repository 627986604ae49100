import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusterInfo, doctor, type Finding } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { at, everywhere, idsOf, nameOf, remedy } from '../support/doctor.js'
import { SlowWay } from '../support/slow-way.js'

let cluster: LocalCluster
let port: RedisPort

beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  port = await connect(cluster.connectOptions)
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const healed = () => expect.poll(() => doctor(port), { timeout: 15_000 }).toEqual([])
beforeEach(async () => {
  await cluster.whenHealthy()
  await everywhere(port, cluster, 'CONFIG', 'RESETSTAT')
  await healed()
}, 30_000)

const LIMIT = { timeoutMs: 300 }
const nameAt = (index: number) => nameOf(cluster.nodes[index] ?? { host: '', port: 0 })
const indexes = (role: 'primary' | 'replica') =>
  cluster.nodes.flatMap((node, index) => (node.role === role ? [index] : []))
const pick = (findings: readonly Finding[], id: Finding['id']) =>
  findings.find((finding) => finding.id === id)

/** A key of ours that lives at this server. */
function keyAt(index: number): Key {
  const space = { namespace: '', pattern: 'doctor', name: 'faults' }
  const keys = Array.from({ length: 200 }, (_, i) => keyOf(space, [i]))
  const key = keys.find((each) => port.topology().ownerOf(slotOf(each))?.port === cluster.nodes[index]?.port)
  if (key === undefined) throw new Error(`node ${index} owns no slot of 200 keys`)
  return key
}

/** A primary and its replica. */
async function pair(): Promise<readonly [primary: number, replica: number]> {
  const { nodes } = await clusterInfo(port)
  const [primary = 0] = indexes('primary')
  const replica = nodes.find((node) => node.primary === cluster.nodes[primary]?.id)
  return [primary, cluster.nodes.findIndex(({ id }) => id === replica?.id)]
}

describe('primaries that are gone', () => {
  it('quorum-lost and slots-suspected: two of three hang, and nobody can be elected until they are back', async () => {
    const [left = 0, ...lost] = indexes('primary')
    for (const index of lost) await cluster.pause(index)
    try {
      await expect
        .poll(async () => idsOf(await doctor(port, LIMIT)), { timeout: 10_000 })
        .toEqual(expect.arrayContaining(['nothing-served', 'quorum-lost', 'slots-suspected']))
      const startedAt = performance.now()
      const findings = await doctor(port, LIMIT)
      // One deadline, though several nodes hang and each has a dozen questions to answer.
      expect(performance.now() - startedAt).toBeLessThan(900)
      expect(pick(findings, 'quorum-lost')).toMatchObject({ severity: 'critical' })
      expect(pick(findings, 'quorum-lost')?.evidence).toContain('1 of 3 primaries answer, 2 are needed')
      expect(pick(findings, 'slots-suspected')?.evidence).toMatch(/cluster_slots_pfail:109\d\d/)
      expect(findings.some(({ evidence }) => evidence.includes(nameAt(left)))).toBe(true)
    } finally {
      for (const index of lost) await cluster.resume(index)
    }
    await cluster.whenHealthy()
    await healed()
  })

  it('slots-failed: given up with its replica, until one of them is back', async () => {
    const [primary, replica] = await pair()
    await cluster.kill(replica)
    await cluster.kill(primary)
    try {
      await expect
        .poll(async () => idsOf(await doctor(port, LIMIT)), { timeout: 10_000 })
        .toEqual(expect.arrayContaining(['slots-failed', 'node-unreachable']))
      const findings = await doctor(port, LIMIT)
      expect(pick(findings, 'slots-failed')).toMatchObject({ severity: 'critical' })
      expect(pick(findings, 'slots-failed')?.evidence).toMatch(/^cluster_slots_fail:546[12], say/)
      // It is gone, so that nothing listens at its address is no fault of the address.
      expect(idsOf(findings)).not.toContain('address-unreachable')
    } finally {
      await cluster.restart(primary)
      await cluster.restart(replica)
    }
    await cluster.whenHealthy()
    await everywhere(port, cluster, 'CONFIG', 'RESETSTAT')
    await healed()
  })
})

describe('a replica', () => {
  it('replica-lagging: further behind than the backlog reaches, by what its primary has heard from it', async () => {
    const [primary, replica] = await pair()
    await at(port, cluster, primary, 'CONFIG', 'SET', 'repl-backlog-size', 16_384)
    await cluster.pause(replica)
    try {
      for (let i = 0; i < 4; i++) {
        await at(port, cluster, primary, 'SET', keyAt(primary), 'x'.repeat(50_000))
      }
      const lagging = pick(await doctor(port, LIMIT), 'replica-lagging')
      expect(lagging).toMatchObject({ severity: 'warning', node: nameAt(replica) })
      expect(lagging?.evidence).toMatch(/is 20\d{4} bytes behind .* the backlog holds 16384/)
    } finally {
      await cluster.resume(replica)
    }
    await cluster.whenHealthy()
    await healed()
    await at(port, cluster, primary, 'FLUSHALL')
    await at(port, cluster, primary, 'CONFIG', 'SET', 'repl-backlog-size', 1_048_576)
  })

  it('node-loading: one that reads its data serves nobody, until it has', async () => {
    const [primary, replica] = await pair()
    // A node that loads answers after every so many bytes, so these are to be many.
    await at(port, cluster, primary, 'CONFIG', 'SET', 'rdbcompression', 'no')
    await at(port, cluster, primary, 'DEBUG', 'POPULATE', 500, 'loaded', 2000)
    await at(port, cluster, replica, 'CONFIG', 'SET', 'loading-process-events-interval-bytes', 1024)
    await at(port, cluster, replica, 'CONFIG', 'SET', 'key-load-delay', 20_000)
    await at(port, cluster, primary, 'DEBUG', 'CHANGE-REPL-ID')
    await at(port, cluster, primary, 'CLIENT', 'KILL', 'TYPE', 'replica')
    await expect
      .poll(async () => pick(await doctor(port, LIMIT), 'node-loading'), { timeout: 10_000 })
      .toMatchObject({ severity: 'warning', node: nameAt(replica) })
    await at(port, cluster, replica, 'CONFIG', 'SET', 'key-load-delay', 0)
    await cluster.whenHealthy()
    await at(port, cluster, primary, 'FLUSHALL')
    await at(port, cluster, primary, 'CONFIG', 'SET', 'rdbcompression', 'yes')
    await healed()
  }, 30_000)
})

describe('the way to the nodes', () => {
  it('address-unreachable: an announced address that leads nowhere, until it is mapped or announced right', async () => {
    const [, replica] = await pair()
    const real = cluster.nodes[replica]?.port ?? 0
    const control = await connect(cluster.connectOptions)
    // Nobody listens at port 1.
    await at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-announce-port', 1)
    try {
      await expect
        .poll(async () => idsOf(await doctor(port, LIMIT)), { timeout: 10_000 })
        .toEqual(expect.arrayContaining(['address-unreachable', 'node-unreachable']))
      const findings = await doctor(port, LIMIT)
      expect(pick(findings, 'address-unreachable')).toMatchObject({ node: '127.0.0.1:1' })
      expect(pick(findings, 'address-unreachable')?.evidence).toContain('ECONNREFUSED')
      expect(pick(findings, 'node-unreachable')?.evidence).toContain('the others see it at work')

      const endpointMap = (node: { readonly host: string; readonly port: number }) =>
        node.port === 1 ? { ...node, port: real } : node
      const mapped = await connect({ ...cluster.connectOptions, endpointMap })
      expect(idsOf(await doctor(mapped))).toEqual([])
      await mapped.close()
    } finally {
      await control.onNode(`127.0.0.1:${real}`, ['CONFIG', 'SET', 'cluster-announce-port', 0])
      await control.close()
    }
    await healed()
  })

  it('address-unreachable: every address, where the cluster announces what leads nowhere from here', async () => {
    // What a client meets outside of the network of its containers: a seed that answers, and addresses that do not.
    let isOutside = false
    const endpointMap = (node: { readonly host: string; readonly port: number }) =>
      isOutside ? { ...node, port: 1 } : node
    const outside = await connect({ ...cluster.connectOptions, endpointMap })
    try {
      isOutside = true
      const findings = await doctor(outside, LIMIT)
      expect(findings[0]).toMatchObject({ id: 'nothing-served', severity: 'critical' })
      const nodes = findings.flatMap(({ id, node }) => (id === 'address-unreachable' ? [node] : []))
      expect(new Set(nodes)).toEqual(new Set(cluster.nodes.map(nameOf)))
      isOutside = false
      await expect.poll(() => doctor(outside), { timeout: 10_000 }).toEqual([])
    } finally {
      await outside.close()
    }
  })

  it('node-suspected: one that answers here and not on the bus, until its bus is open again', async () => {
    const [, replica] = await pair()
    await at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-announce-bus-port', 1)
    await expect
      .poll(async () => pick(await doctor(port, LIMIT), 'node-suspected'), { timeout: 15_000 })
      .toMatchObject({ severity: 'warning', node: nameAt(replica) })
    await at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-announce-bus-port', 0)
    await healed()
  }, 40_000)

  it('node-timeout-tight and client-timeout-short: a way that takes long, until both sides wait longer', async () => {
    const way = await SlowWay.open(cluster, 60)
    const options = { ...cluster.connectOptions, endpointMap: way.to }
    const hasty = await connect({ ...options, commandTimeoutMs: 500 })
    const patient = await connect(options)
    try {
      const findings = await doctor(hasty, { timeoutMs: 3000 })
      expect(new Set(idsOf(findings))).toEqual(new Set(['node-timeout-tight', 'client-timeout-short']))
      expect(findings.filter(({ id }) => id === 'node-timeout-tight')).toHaveLength(6)
      for (const finding of findings) if (finding.id === 'node-timeout-tight') await remedy(port, finding)
      expect(await doctor(patient, { timeoutMs: 3000 })).toEqual([])
    } finally {
      await hasty.close()
      await patient.close()
      way.close()
      await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-node-timeout', 1000)
    }
  }, 30_000)
})
