import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  addNode,
  clusterInfo,
  doctor,
  type FindingId,
  healthCheck,
  moveSlots,
  rebalance,
} from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { type RedisPort, slotOf } from '../../../src/redis/index.js'
import { WireClient } from '../../../src/redis/wire.js'
import { startBareServers } from '../../support/bare-servers.js'
import { at, everywhere, idsOf, nameOf, remedy } from '../../support/doctor.js'

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
afterEach(async () => {
  await cluster.whenHealthy()
  await everywhere(port, cluster, 'CONFIG', 'RESETSTAT')
})

const nameAt = (index: number) => nameOf(cluster.nodes[index] ?? { host: '', port: 0 })
const idAt = (index: number) => cluster.nodes[index]?.id ?? ''
const healed = () => expect.poll(() => doctor(port), { timeout: 10_000 }).toEqual([])

/** Indexes of the primaries, the one with the lowest epoch first, and a slot that it owns and nobody uses. */
async function byEpoch(): Promise<{ readonly primaries: readonly number[]; readonly slot: number }> {
  const { nodes } = await clusterInfo(port)
  const sorted = nodes
    .filter(({ slots }) => slots.length > 0)
    .toSorted((a, b) => a.configEpoch - b.configEpoch)
  const primaries = sorted.map(({ id }) => cluster.nodes.findIndex((node) => node.id === id))
  return { primaries, slot: sorted[0]?.slots[0]?.[1] ?? 0 }
}

describe('slots', () => {
  it('slot-disputed: a slot whose owner sends callers back is not served, though every node is well', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    // Only the former owner has heard of the move.
    await at(port, cluster, from, 'CLUSTER', 'SETSLOT', slot, 'NODE', idAt(to))
    expect(await at(port, cluster, from, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
    const findings = await doctor(port)
    expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual([
      'critical slots-unserved',
      'warning slot-disputed',
    ])
    expect(findings[0]?.evidence).toContain(
      `1 slot (${slot}) are not served: ${nameAt(to)} sends callers elsewhere`,
    )
    expect(findings[1]?.evidence).toContain(`slot ${slot} belongs to ${nameAt(to)} (say ${nameAt(from)}), or`)
    expect(await healthCheck(port)).toMatchObject({ status: 'down', slots: { unserved: [[slot, slot]] } })
    for (const finding of findings.slice(1)) await remedy(port, finding, primaries.map(nameAt))
    await healed()
  })

  it('slots-unassigned: a slot that nobody owns, until it is given to the node that the fix names', async () => {
    const { primaries, slot } = await byEpoch()
    await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    const [owner = 0] = primaries
    await at(port, cluster, owner, 'CLUSTER', 'DELSLOTS', slot)
    for (const index of cluster.nodes.keys()) {
      if (index !== owner) await at(port, cluster, index, 'CLUSTER', 'DELSLOTS', slot)
    }
    const findings = await doctor(port)
    expect(findings).toMatchObject([{ id: 'slots-unassigned', severity: 'critical' }])
    expect(await doctor(port, { usage: ['cache'] })).toMatchObject([{ severity: 'warning' }])
    expect(findings[0]?.evidence).toBe(`1 slot (${slot}) have no owner`)
    expect(await clusterInfo(port)).toMatchObject({ slots: { assigned: 16_383 } })
    for (const finding of findings) await remedy(port, finding)
    await healed()
    await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'yes')
  })

  it('slot-open: at each end of a move that was begun and left', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    await at(port, cluster, to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', idAt(from))
    const findings = await doctor(port)
    expect(findings).toMatchObject([{ id: 'slot-open', severity: 'warning', node: nameAt(to) }])
    expect(findings[0]?.evidence).toBe(`slot ${slot} is importing from ${nameAt(from)} at ${nameAt(to)}`)
    for (const finding of findings) await remedy(port, finding)
    await healed()
  })

  it('slot-open: a move that was begun and left is finished by the operation that the fix names', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    await at(port, cluster, to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', idAt(from))
    await at(port, cluster, from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', idAt(to))
    const findings = await doctor(port)
    expect(idsOf(findings)).toEqual(['slot-open', 'slot-open'])
    expect(findings[0]?.fix).toContain('`rebalance` (`slotwise rebalance`)')
    await rebalance(cluster.connectOptions)
    await healed()
  })
})

describe('nodes', () => {
  it('node-unknown: one that another has forgotten, until it is introduced again', async () => {
    const [first = 0, second = 0] = cluster.nodes.flatMap(({ role }, i) => (role === 'replica' ? [i] : []))
    await at(port, cluster, first, 'CLUSTER', 'FORGET', idAt(second))
    // The other one may find its link cut, too, until it has made a new one.
    const findings = (await doctor(port)).filter(({ id }) => id !== 'node-suspected')
    expect(findings).toMatchObject([{ id: 'node-unknown', severity: 'warning', node: nameAt(first) }])
    expect(findings[0]?.evidence).toContain(`${nameAt(first)} does not know ${nameAt(second)}`)
    for (const finding of findings) await remedy(port, finding, [finding.node], 'CLUSTER MEET')
    await healed()
  })

  it('node-busy: a script that never ends keeps a primary from serving, until it is killed', async () => {
    const { primaries } = await byEpoch()
    const [index = 0] = primaries
    await at(port, cluster, index, 'CONFIG', 'SET', 'busy-reply-threshold', 10)
    const { host = '', port: its = 0 } = cluster.nodes[index] ?? {}
    const client = await WireClient.connect({ host, port: its, timeoutMs: 5000 })
    const endless = client.call(['EVAL', 'while true do end', 0]).catch(String)
    await expect.poll(() => at(port, cluster, index, 'PING').catch(String)).toContain('BUSY')
    const findings = await doctor(port, { timeoutMs: 500 })
    expect(idsOf(findings)).toEqual(expect.arrayContaining(['slots-unserved', 'node-busy']))
    const busy = findings.find(({ id }) => id === 'node-busy')
    expect(busy).toMatchObject({ node: nameAt(index), severity: 'warning' })
    if (busy) await remedy(port, busy)
    expect(await endless).toContain('killed by user')
    client.close()
    await at(port, cluster, index, 'CONFIG', 'SET', 'busy-reply-threshold', 5000)
    await healed()
  })

  it('node-refuses: one that does not know this user any more', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'replica')
    await everywhere(port, cluster, 'ACL', 'SETUSER', 'other', 'on', '>o', '~*', '+@all')
    const other = await connect({ ...cluster.connectOptions, username: 'other', password: 'o' })
    try {
      expect(await doctor(other)).toEqual([])
      await at(port, cluster, index, 'ACL', 'DELUSER', 'other')
      await expect
        .poll(async () => idsOf(await doctor(other, { timeoutMs: 300 })), { timeout: 10_000 })
        .toContain('node-refuses')
      const findings = await doctor(other, { timeoutMs: 300 })
      expect(findings.find(({ id }) => id === 'node-refuses')).toMatchObject({
        node: nameAt(index),
        evidence: expect.stringContaining('WRONGPASS') as string,
      })
      await at(port, cluster, index, 'ACL', 'SETUSER', 'other', 'on', '>o', '~*', '+@all')
      await expect.poll(() => doctor(other), { timeout: 10_000 }).toEqual([])
    } finally {
      await other.close()
      await everywhere(port, cluster, 'ACL', 'DELUSER', 'other')
    }
  })
})

describe('replicas', () => {
  it('replica-unlinked: one that its primary does not let in is none to fall back on', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'primary')
    await at(port, cluster, index, 'ACL', 'SETUSER', 'default', '-psync', '-sync')
    await at(port, cluster, index, 'CLIENT', 'KILL', 'TYPE', 'replica')
    await expect
      .poll(async () => idsOf(await doctor(port)))
      .toEqual(['primary-without-replica', 'replica-unlinked'])
    const [, unlinked] = await doctor(port)
    expect(unlinked?.evidence).toContain(`is not linked to ${nameAt(index)}`)
    expect(unlinked?.fix).toContain('`+psync +replconf +ping`')
    expect(await healthCheck(port)).toMatchObject({ status: 'degraded' })
    await at(port, cluster, index, 'ACL', 'SETUSER', 'default', '+psync', '+sync', '+replconf', '+ping')
    await healed()
  })

  it('full-syncs: a replica that copies everything again and again, until it is counted anew', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'primary')
    const copies = async () => {
      const info = String(await at(port, cluster, index, 'INFO'))
      return [/sync_full:(\d+)/.exec(info)?.[1], /state=(\w+)/.exec(info)?.[1]].join(' ')
    }
    for (let i = 1; i <= 4; i++) {
      expect(idsOf(await doctor(port))).not.toContain('full-syncs')
      await at(port, cluster, index, 'DEBUG', 'CHANGE-REPL-ID')
      await at(port, cluster, index, 'CLIENT', 'KILL', 'TYPE', 'replica')
      await expect.poll(copies, { timeout: 10_000 }).toBe(`${i} online`)
    }
    const finding = (await doctor(port)).find(({ id }) => id === 'full-syncs')
    expect(finding).toMatchObject({ severity: 'warning', node: nameAt(index) })
    if (finding) await remedy(port, finding)
    await healed()
  })
})

it('primaries-too-few, primary-idle, slots-unbalanced, primary-without-replica: until the operations that the fixes name have run', async () => {
  // Some services hide commands, which is what becomes of what they would have told.
  await using servers = await startBareServers(4, { 'rename-command': 'MEMORY ""' })
  const [first, second, third] = servers.clients
  const ids = await Promise.all(
    servers.clients.map(async (client) => String(await client.call(['CLUSTER', 'MYID']))),
  )
  await first?.call(['CLUSTER', 'ADDSLOTSRANGE', 0, 9999])
  await first?.call(['CLUSTER', 'SET-CONFIG-EPOCH', 1])
  await second?.call(['CLUSTER', 'ADDSLOTSRANGE', 10_000, 16_383])
  await second?.call(['CLUSTER', 'SET-CONFIG-EPOCH', 2])
  await third?.call(['CLUSTER', 'SET-CONFIG-EPOCH', 3])
  for (const { port: other, bus } of servers.addresses.slice(0, 3))
    await first?.call(['CLUSTER', 'MEET', '127.0.0.1', other, bus])
  const redis = await connect({ nodes: servers.nodes.slice(0, 3) })
  const nodes = servers.nodes.slice(0, 1)
  const withoutReplica = async () =>
    (await doctor(redis)).filter(({ id }) => id === 'primary-without-replica').length
  const seen = async () => idsOf(await doctor(redis)).filter((id) => id !== 'primary-without-replica')
  const fixOf = async (id: FindingId) => (await doctor(redis)).find((finding) => finding.id === id)?.fix
  try {
    await expect.poll(seen, { timeout: 10_000 }).toEqual(['primaries-too-few', 'primary-idle'])
    expect(await fixOf('primaries-too-few')).toContain('`rebalance` (`slotwise rebalance`)')
    expect(await fixOf('primary-idle')).toContain('`rebalance` (`slotwise rebalance`)')
    await rebalance({ nodes })
    await expect.poll(seen, { timeout: 10_000 }).toEqual([])
    await moveSlots({ nodes, from: [ids[1] ?? ''], to: ids[0] ?? '', slots: 3000 })
    await expect.poll(seen, { timeout: 10_000 }).toEqual(['slots-unbalanced'])
    expect(await fixOf('slots-unbalanced')).toContain('`rebalance` (`slotwise rebalance`)')
    await rebalance({ nodes })
    await expect.poll(seen, { timeout: 10_000 }).toEqual([])
    expect(await withoutReplica()).toBe(3)
    expect(await fixOf('primary-without-replica')).toContain('`addNode` (`slotwise add-node`)')
    await addNode({ nodes, node: servers.nodes[3] ?? '', role: 'replica' })
    await expect.poll(withoutReplica, { timeout: 10_000 }).toBe(2)

    const key = 'k126'
    const owner = redis.topology().ownerOf(slotOf(key))?.id ?? ''
    await redis.onNode(owner, ['SET', key, 'x'])
    const [finding] = (await doctor(redis)).filter(({ id }) => id === 'command-missing')
    expect(finding).toMatchObject({ severity: 'info' })
    expect(finding?.evidence).toContain('there is no MEMORY USAGE at')
    await redis.onNode(owner, ['DEL', key])
    expect(await seen()).toEqual([])
  } finally {
    await redis.close()
  }
}, 30_000)
