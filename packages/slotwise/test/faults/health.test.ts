import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusterInfo, healthCheck, type Usage } from '../../src/cluster/index.js'
import { ClosedError, ConfigurationError, RedisUnavailableError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { at, everywhere, idsOf, nameOf, remedy } from '../support/doctor.js'

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
beforeEach(async () => {
  await cluster.whenHealthy()
  await expect
    .poll(() => healthCheck(port), { timeout: 10_000 })
    .toMatchObject({ status: 'ok', findings: [] })
}, 30_000)

const roles = (role: 'primary' | 'replica') =>
  cluster.nodes.flatMap((node, index) => (node.role === role ? [index] : []))
const onePrimary = () => roles('primary')[0] ?? 0
const nameAt = (index: number) => nameOf(cluster.nodes[index] ?? { host: '', port: 0 })

async function replicaOf(primary: number): Promise<number> {
  const { nodes } = await clusterInfo(port)
  const replica = nodes.find((node) => node.primary === cluster.nodes[primary]?.id)
  return cluster.nodes.findIndex(({ id }) => id === replica?.id)
}

const statusFor = async (...usage: Usage[]) => (await healthCheck(port, { usage, timeoutMs: 300 })).status

describe('a whole cluster', () => {
  it('is ok: every node answers, every slot is served, and the report is plain data', async () => {
    const health = await healthCheck(port)
    expect(health).toMatchObject({ status: 'ok', slots: { served: 16_384, unserved: [] }, findings: [] })
    expect(health.nodes.map(({ node, state }) => `${node} ${state}`).toSorted()).toEqual(
      cluster.nodes.map((node) => `${nameOf(node)} answers`).toSorted(),
    )
    expect(JSON.parse(JSON.stringify(health))).toEqual(health)
  })

  it('is told as its nodes tell it: roles, slots, epochs, offsets, memory, keys', async () => {
    const info = await clusterInfo(port)
    expect(info).toMatchObject({
      state: 'ok',
      slots: { assigned: 16_384, ok: 16_384, pfail: 0, fail: 0, open: [] },
    })
    expect(info.currentEpoch).toBeGreaterThanOrEqual(3)
    const primaries = info.nodes.filter(({ role }) => role === 'primary')
    const slots = primaries.flatMap((node) => node.slots).map(([first, last]) => last - first + 1)
    expect(slots.reduce((sum, count) => sum + count, 0)).toBe(16_384)
    expect(new Set(primaries.map(({ configEpoch }) => configEpoch)).size).toBe(3)
    for (const node of info.nodes) {
      if (!node.answered) throw new Error(`${node.address} did not answer: ${node.reason}`)
      expect(node.link).toBe('connected')
      expect(node.version).toBe(cluster.version)
      expect(node.memory).toMatchObject({ maxBytes: 0, policy: 'noeviction' })
      expect(node.memory?.usedBytes).toBeGreaterThan(1e6)
      expect(node.keys).toBe(0)
      if (node.role === 'primary') expect(node.replication).toMatchObject({ replicas: 1 })
      else expect(node.replication).toMatchObject({ link: 'up', lagBytes: 0 })
    }
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
  })

  it('with a slot on its way says so at both ends, and is degraded until the printed remedy is applied', async () => {
    const [from = 0, to = 0] = roles('primary')
    const slot =
      (await clusterInfo(port)).nodes.find(({ id }) => id === cluster.nodes[from]?.id)?.slots[0]?.[0] ?? 0
    const [source, target] = [cluster.nodes[from]?.id ?? '', cluster.nodes[to]?.id ?? '']
    await at(port, cluster, to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source)
    await at(port, cluster, from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target)
    expect((await clusterInfo(port)).slots.open.toSorted((a, b) => a.state.localeCompare(b.state))).toEqual([
      { slot, state: 'importing', peer: source, node: nameAt(to) },
      { slot, state: 'migrating', peer: target, node: nameAt(from) },
    ])
    const { status, findings } = await healthCheck(port)
    expect([status, ...idsOf(findings)]).toEqual(['degraded', 'slot-open', 'slot-open'])
    for (const finding of findings) await remedy(port, finding)
    expect(await healthCheck(port)).toMatchObject({ status: 'ok', findings: [] })
  })
})

describe('a primary that hangs', () => {
  it('costs one deadline and is down, not hidden by those that answer, until another is elected', async () => {
    const index = onePrimary()
    const before = (await clusterInfo(port)).nodes.find(({ id }) => id === cluster.nodes[index]?.id)
    await cluster.pause(index)
    try {
      const startedAt = performance.now()
      const health = await healthCheck(port, { timeoutMs: 300 })
      const tookMs = performance.now() - startedAt
      expect(tookMs).toBeGreaterThan(250)
      expect(tookMs).toBeLessThan(800)
      expect(health.status).toBe('down')
      expect(health.slots.unserved).toEqual(before?.slots)
      expect(idsOf(health.findings)).toEqual(expect.arrayContaining(['slots-unserved', 'node-unreachable']))
      const silent = health.nodes.filter(({ state }) => state !== 'answers')
      expect(silent.map(({ node, state }) => `${node} ${state}`)).toEqual([`${nameAt(index)} silent`])

      const info = await clusterInfo(port, { timeoutMs: 300 })
      const node = info.nodes.find(({ id }) => id === before?.id)
      expect(node).toMatchObject({ answered: false, slots: before?.slots, role: 'primary' })

      // Elected: all is served again, and one node is missing.
      await expect.poll(() => statusFor('locks'), { timeout: 10_000 }).toBe('degraded')
      const after = await healthCheck(port, { timeoutMs: 300 })
      expect(after.slots.served).toBe(16_384)
      expect(idsOf(after.findings)).toEqual(
        expect.arrayContaining(['node-unreachable', 'primary-without-replica']),
      )
    } finally {
      await cluster.resume(index)
    }
  })
})

describe('a cluster that does without full coverage', () => {
  it('says cluster_state:ok and PONG with a third of its slots gone, and is down for all but a cache', async () => {
    const index = onePrimary()
    const replica = await replicaOf(index)
    const other = roles('primary').find((each) => each !== index) ?? 0
    await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    await cluster.kill(replica)
    await cluster.kill(index)
    try {
      await expect
        .poll(() => at(port, cluster, other, 'CLUSTER', 'INFO'), { timeout: 10_000 })
        .toMatch(/cluster_state:ok[\s\S]*cluster_slots_fail:546[12]/)
      expect(await at(port, cluster, other, 'PING')).toBe('PONG')
      const info = await clusterInfo(port, { timeoutMs: 300 })
      expect(info.state).toBe('ok')
      expect(info.slots.fail).toBeGreaterThan(5000)
      const health = await healthCheck(port, { timeoutMs: 300 })
      expect(health.status).toBe('down')
      expect(health.slots.served).toBe(16_384 - info.slots.fail)
      expect(idsOf(health.findings)).toEqual(expect.arrayContaining(['slots-unserved', 'slots-failed']))
      expect(await statusFor('cache')).toBe('degraded')
      expect(await statusFor('cache', 'locks')).toBe('down')
    } finally {
      await cluster.restart(index)
      await cluster.restart(replica)
      await cluster.whenHealthy()
      await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'yes')
    }
  })

  it('with full coverage required serves nothing at all when a third is gone, and is down for a cache too', async () => {
    const index = onePrimary()
    const replica = await replicaOf(index)
    await cluster.kill(replica)
    await cluster.kill(index)
    try {
      await expect.poll(() => statusFor('cache'), { timeout: 10_000 }).toBe('down')
      const { slots, findings } = await healthCheck(port, { timeoutMs: 300, usage: ['cache'] })
      expect(slots).toEqual({ served: 0, unserved: [[0, 16_383]] })
      expect(findings[0]).toMatchObject({ id: 'nothing-served', severity: 'critical', affects: ['cache'] })
      expect(findings[0]?.evidence).toContain('CLUSTERDOWN')
    } finally {
      await cluster.restart(index)
      await cluster.restart(replica)
    }
  })
})

describe('a replica that is gone', () => {
  it('leaves the cluster degraded, and ok again when it is back', async () => {
    const index = roles('replica')[0] ?? 0
    await cluster.kill(index)
    try {
      const { status, findings, slots } = await healthCheck(port, { timeoutMs: 300 })
      expect([status, slots.served]).toEqual(['degraded', 16_384])
      expect(findings.find(({ id }) => id === 'node-unreachable')?.node).toBe(nameAt(index))
      expect(idsOf(findings)).toContain('primary-without-replica')
    } finally {
      await cluster.restart(index)
    }
  })
})

describe('primaries that answer and take no writes', () => {
  it('are down for what keeps state: too few replicas, until as many as there are will do', async () => {
    const index = onePrimary()
    await at(port, cluster, index, 'CONFIG', 'SET', 'min-replicas-to-write', 2)
    expect(await statusFor('cache')).toBe('degraded')
    const { status, findings } = await healthCheck(port)
    expect([status, ...idsOf(findings)]).toEqual(['down', 'writes-need-replicas'])
    expect(findings[0]?.node).toBe(nameAt(index))
    for (const finding of findings) await remedy(port, finding)
    expect(await healthCheck(port)).toMatchObject({ status: 'ok' })
    await at(port, cluster, index, 'CONFIG', 'SET', 'min-replicas-to-write', 0)
  })

  it('are down for what keeps state: memory full, until there is more', async () => {
    const index = onePrimary()
    await at(port, cluster, index, 'CONFIG', 'SET', 'maxmemory', '1mb')
    const { status, findings } = await healthCheck(port)
    expect([status, ...idsOf(findings)]).toEqual(['down', 'memory-full'])
    for (const finding of findings) await remedy(port, finding)
    expect(await healthCheck(port)).toMatchObject({ status: 'ok' })
    await at(port, cluster, index, 'CONFIG', 'SET', 'maxmemory', 0)
  })
})

describe('whoever asks', () => {
  it('without a right to look hears what was not looked at, and how to allow it', async () => {
    await everywhere(port, cluster, 'ACL', 'SETUSER', 'watcher', 'on', '>w', '~*', '+cluster', '+ping')
    const watcher = await connect({ ...cluster.connectOptions, username: 'watcher', password: 'w' })
    try {
      const { status, findings } = await healthCheck(watcher)
      expect(status).toBe('ok')
      expect(
        findings.map(({ id, severity, evidence }) => [id, severity, /lacks (\S+)/.exec(evidence)?.[1]]),
      ).toEqual([
        ['permission-missing', 'info', '+info'],
        ['permission-missing', 'info', '+config|get'],
      ])
      const everyone = cluster.nodes.map(nameOf)
      for (const finding of findings) {
        // The name of the user is asked for by ACL WHOAMI, which it may not run either.
        const fix = finding.fix.replace(/\bUSER\b/, 'watcher')
        await remedy(port, { ...finding, fix }, everyone)
      }
      expect(await healthCheck(watcher)).toMatchObject({ findings: [] })
    } finally {
      await watcher.close()
      await everywhere(port, cluster, 'ACL', 'DELUSER', 'watcher')
    }
  })

  it('can give up, and is told of a wrong option by its value', async () => {
    const index = onePrimary()
    await cluster.pause(index)
    try {
      const given = new Error('enough')
      const asking = healthCheck(port, { timeoutMs: 5000, signal: AbortSignal.timeout(50) })
      await expect(asking).rejects.toMatchObject({ name: 'TimeoutError' })
      await expect(healthCheck(port, { signal: AbortSignal.abort(given) })).rejects.toBe(given)
    } finally {
      await cluster.resume(index)
    }
    await expect(healthCheck(port, { usage: ['lock' as 'locks'] })).rejects.toThrow(ConfigurationError)
    await expect(healthCheck(port, { usage: [] })).rejects.toThrow(/usage must name at least one of/)
    await expect(clusterInfo(port, { timeoutMs: 0 })).rejects.toThrow(/timeoutMs .* got 0/)
  })

  it('through a port that is closed gets an error, not a diagnosis', async () => {
    const closed = await connect(cluster.connectOptions)
    await closed.close()
    await expect(healthCheck(closed)).rejects.toThrow(ClosedError)
    await expect(clusterInfo(closed)).rejects.toThrow(ClosedError)
  })
})

it('a cluster of which no node answers is down, and has nothing to tell', async () => {
  const { nodes } = cluster
  await Promise.all(nodes.map((_, index) => cluster.pause(index)))
  try {
    const health = await healthCheck(port, { timeoutMs: 200 })
    expect(health).toMatchObject({ status: 'down', slots: { served: 0 } })
    expect(health.nodes.map(({ state }) => state)).toEqual(nodes.map(() => 'silent'))
    await expect(clusterInfo(port, { timeoutMs: 200 })).rejects.toThrow(RedisUnavailableError)
  } finally {
    await Promise.all(nodes.map((_, index) => cluster.resume(index)))
  }
})
