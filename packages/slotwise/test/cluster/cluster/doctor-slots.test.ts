import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  addNode,
  clusterInfo,
  createCluster,
  doctor,
  type FindingId,
  healthCheck,
  moveSlots,
  rebalance,
  removeNode,
} from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { WireClient } from '../../../src/redis/wire.js'
import { type BareServers, startBareServers } from '../../support/bare-servers.js'
import { cycle, printed, said } from '../../support/cycle.js'
import { at, everywhere, idsOf, nameOf } from '../../support/doctor.js'

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

/** Indexes of the primaries, the one with the lowest epoch first, and a slot that it owns and nobody uses. */
async function byEpoch(): Promise<{ readonly primaries: readonly number[]; readonly slot: number }> {
  const { nodes } = await clusterInfo(port)
  const sorted = nodes
    .filter(({ slots }) => slots.length > 0)
    .toSorted((a, b) => a.configEpoch - b.configEpoch)
  const primaries = sorted.map(({ id }) => cluster.nodes.findIndex((node) => node.id === id))
  return { primaries, slot: sorted[0]?.slots[0]?.[1] ?? 0 }
}

const through = () => port

describe('slots', () => {
  it('slot-disputed: a slot whose owner sends callers back is slots-unserved, though every node is well', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    await cycle({
      through,
      cause: async () => {
        // Only the former owner has heard of the move.
        await at(port, cluster, from, 'CLUSTER', 'SETSLOT', slot, 'NODE', idAt(to))
        expect(await at(port, cluster, from, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
      },
      seen: async (findings) => {
        expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual([
          'critical slots-unserved',
          'warning slot-disputed',
        ])
        expect(findings[0]?.evidence).toContain(
          `1 slot (${slot}) are not served: ${nameAt(to)} sends callers elsewhere`,
        )
        expect(findings[1]?.evidence).toContain(
          `slot ${slot} belongs to ${nameAt(to)} (say ${nameAt(from)}), or`,
        )
        expect(await healthCheck(port)).toMatchObject({
          status: 'down',
          slots: { unserved: [[slot, slot]] },
        })
      },
      remedies: { 'slot-disputed': printed('CLUSTER SETSLOT', primaries.map(nameAt)) },
    })
  })

  it('slots-unassigned: a slot that nobody owns, until it is given to the node that the fix names', async () => {
    const { primaries, slot } = await byEpoch()
    const [owner = 0] = primaries
    await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    await cycle({
      through,
      cause: async () => {
        await at(port, cluster, owner, 'CLUSTER', 'DELSLOTS', slot)
        for (const index of cluster.nodes.keys()) {
          if (index !== owner) await at(port, cluster, index, 'CLUSTER', 'DELSLOTS', slot)
        }
      },
      seen: async (findings) => {
        expect(findings).toMatchObject([{ id: 'slots-unassigned', severity: 'critical' }])
        expect(await doctor(port, { usage: ['cache'] })).toMatchObject([{ severity: 'warning' }])
        expect(findings[0]?.evidence).toBe(`1 slot (${slot}) have no owner`)
        expect(await clusterInfo(port)).toMatchObject({ slots: { assigned: 16_383 } })
      },
      remedies: { 'slots-unassigned': printed('CLUSTER ADDSLOTSRANGE') },
    })
    await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'yes')
  })

  it('slot-open: at each end of a move that was begun and left, until it is ended', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    await cycle({
      through,
      cause: () => at(port, cluster, to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', idAt(from)),
      seen: (findings) =>
        expect(findings).toMatchObject([
          {
            severity: 'warning',
            node: nameAt(to),
            evidence: `slot ${slot} is importing from ${nameAt(from)} at ${nameAt(to)}`,
          },
        ]),
      remedies: { 'slot-open': printed('CLUSTER SETSLOT') },
    })
  })

  it('slot-open: a move that was begun and left, until it is finished by the operation that the fix names', async () => {
    const { primaries, slot } = await byEpoch()
    const [from = 0, to = 0] = primaries
    await cycle({
      through,
      cause: async () => {
        await at(port, cluster, to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', idAt(from))
        await at(port, cluster, from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', idAt(to))
      },
      seen: (findings) => expect(idsOf(findings)).toEqual(['slot-open', 'slot-open']),
      remedies: {
        'slot-open': said('finish it by `rebalance` (`slotwise rebalance`)', () =>
          rebalance(cluster.connectOptions),
        ),
      },
    })
  })
})

describe('nodes', () => {
  it('node-unknown: one that another has forgotten, until it is introduced again', async () => {
    const [first = 0, second = 0] = cluster.nodes.flatMap(({ role }, i) => (role === 'replica' ? [i] : []))
    await cycle({
      through,
      cause: () => at(port, cluster, first, 'CLUSTER', 'FORGET', idAt(second)),
      seen: (all) => {
        // The other one may find its link cut, too, until it has made a new one.
        const findings = all.filter(({ id }) => id !== 'node-suspected')
        expect(findings).toMatchObject([{ id: 'node-unknown', severity: 'warning', node: nameAt(first) }])
        expect(findings[0]?.evidence).toContain(`${nameAt(first)} does not know ${nameAt(second)}`)
      },
      remedies: { 'node-unknown': printed('CLUSTER MEET') },
    })
  })

  it('node-busy and slots-unserved: a script that never ends keeps a primary from serving, until it is killed', async () => {
    const { primaries } = await byEpoch()
    const [index = 0] = primaries
    const { host = '', port: its = 0 } = cluster.nodes[index] ?? {}
    const client = await WireClient.connect({ host, port: its, timeoutMs: 5000 })
    let endless: Promise<unknown> | undefined
    await at(port, cluster, index, 'CONFIG', 'SET', 'busy-reply-threshold', 10)
    await cycle({
      through,
      options: { timeoutMs: 500 },
      cause: async () => {
        endless = client.call(['EVAL', 'while true do end', 0]).catch(String)
        await expect.poll(() => at(port, cluster, index, 'PING').catch(String)).toContain('BUSY')
      },
      seen: (findings) =>
        expect(findings.find(({ id }) => id === 'node-busy')).toMatchObject({
          node: nameAt(index),
          severity: 'warning',
        }),
      remedies: {
        'node-busy': printed('SCRIPT KILL'),
        'slots-unserved': said('Bring the owner back', () => endless),
      },
    })
    expect(await endless).toContain('killed by user')
    client.close()
    await at(port, cluster, index, 'CONFIG', 'SET', 'busy-reply-threshold', 5000)
  })

  it('node-refuses: one that does not know this user any more, until it has the users of the others', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'replica')
    await everywhere(port, cluster, 'ACL', 'SETUSER', 'other', 'on', '>o', '~*', '+@all')
    const other = await connect({ ...cluster.connectOptions, username: 'other', password: 'o' })
    try {
      await cycle({
        through: () => other,
        options: { timeoutMs: 500 },
        cause: () => at(port, cluster, index, 'ACL', 'DELUSER', 'other'),
        seen: (findings) =>
          expect(findings.find(({ id }) => id === 'node-refuses')).toMatchObject({
            node: nameAt(index),
            evidence: expect.stringContaining('WRONGPASS') as string,
          }),
        remedies: {
          'node-refuses': said('the same users as the others: `ACL LIST` on both', async ([finding]) => {
            const users = async (node: string) =>
              ((await port.onNode(node, ['ACL', 'LIST'])) as string[]).map((line) => line.split(' '))
            const there = (await users(finding?.node ?? '')).map(([, name]) => name)
            for (const [, name = '', ...rules] of await users(nameAt(0))) {
              if (there.includes(name)) continue
              await port.onNode(finding?.node ?? '', ['ACL', 'SETUSER', name, ...rules])
            }
          }),
        },
      })
    } finally {
      await other.close()
      await everywhere(port, cluster, 'ACL', 'DELUSER', 'other')
    }
  })
})

describe('replicas', () => {
  it('replica-unlinked and primary-without-replica: one that its primary does not let in is none to fall back on', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'primary')
    await cycle({
      through,
      cause: async () => {
        await at(port, cluster, index, 'ACL', 'SETUSER', 'default', '-psync', '-sync', '-replconf')
        await at(port, cluster, index, 'CLIENT', 'KILL', 'TYPE', 'replica')
      },
      seen: async (findings) => {
        const unlinked = findings.find(({ id }) => id === 'replica-unlinked')
        expect(unlinked?.evidence).toContain(`is not linked to ${nameAt(index)}`)
        expect(await healthCheck(port)).toMatchObject({ status: 'degraded' })
      },
      remedies: {
        'replica-unlinked': said('the user lacks `+psync +replconf +ping`', () =>
          at(port, cluster, index, 'ACL', 'SETUSER', 'default', '+psync', '+replconf', '+ping'),
        ),
        'primary-without-replica': said('Bring its replica back', () => cluster.whenHealthy()),
      },
    })
    await at(port, cluster, index, 'ACL', 'SETUSER', 'default', '+sync')
  })

  it('full-syncs: a replica that copies everything again and again, until it is counted anew', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'primary')
    const copies = async () => {
      const info = String(await at(port, cluster, index, 'INFO'))
      return [/sync_full:(\d+)/.exec(info)?.[1], /state=(\w+)/.exec(info)?.[1]].join(' ')
    }
    await cycle({
      through,
      cause: async () => {
        for (let i = 1; i <= 4; i++) {
          expect(idsOf(await doctor(port))).not.toContain('full-syncs')
          await at(port, cluster, index, 'DEBUG', 'CHANGE-REPL-ID')
          await at(port, cluster, index, 'CLIENT', 'KILL', 'TYPE', 'replica')
          await expect.poll(copies, { timeout: 10_000 }).toBe(`${i} online`)
        }
      },
      seen: (findings) =>
        expect(findings).toMatchObject([{ id: 'full-syncs', severity: 'warning', node: nameAt(index) }]),
      remedies: { 'full-syncs': printed('CONFIG RESETSTAT') },
    })
  })
})

describe('a cluster of bare servers', () => {
  let servers: BareServers
  let redis: RedisPort
  const nodes = () => servers.nodes.slice(0, 1)
  const third = () => servers.nodes[2] ?? ''
  const fourth = () => servers.nodes[3] ?? ''
  // There is no replica, and nothing of that is mended.
  const leaves: readonly FindingId[] = ['primary-without-replica']

  beforeAll(async () => {
    servers = await startBareServers(4)
    await createCluster({ nodes: servers.nodes.slice(0, 3), replicasPerPrimary: 0 })
    redis = await connect({ nodes: servers.nodes.slice(0, 3) })
  }, 60_000)
  afterAll(async () => {
    await redis.close()
    await servers[Symbol.asyncDispose]()
  })

  // Replicas that come and go copy everything, which is a finding of its own.
  afterEach(() => servers.all(['CONFIG', 'RESETSTAT']))

  it('slots-unbalanced: one primary with half as many again as the mean, until they are shared out', () =>
    cycle({
      through: () => redis,
      cause: () =>
        moveSlots({
          nodes: nodes(),
          from: [servers.nodes[1] ?? ''],
          to: servers.nodes[0] ?? '',
          slots: 3000,
        }),
      seen: (findings) => expect(idsOf(findings)).toContain('slots-unbalanced'),
      remedies: {
        'slots-unbalanced': said('Share the slots out by `rebalance` (`slotwise rebalance`)', () =>
          rebalance({ nodes: nodes() }),
        ),
      },
      leaves,
    }))

  it('primaries-too-few: two of them can replace none, until there is a third with slots', () =>
    cycle({
      through: () => redis,
      cause: async () => {
        await rebalance({ nodes: nodes(), weights: { [third()]: 0 } })
        await removeNode({ nodes: nodes(), node: third() })
      },
      remedies: {
        'primaries-too-few': said(
          'add primaries by `addNode` (`slotwise add-node`), and give them slots by `rebalance` (`slotwise rebalance`)',
          async () => {
            await addNode({ nodes: nodes(), node: third(), role: 'primary' })
            await rebalance({ nodes: nodes() })
          },
        ),
      },
      leaves,
    }))

  it('primary-idle: one without slots, until it is a replica', () =>
    cycle({
      through: () => redis,
      cause: () => addNode({ nodes: nodes(), node: fourth(), role: 'primary' }),
      remedies: {
        'primary-idle': said(
          'have it follow a primary by `addNode` with the role of a replica (`slotwise add-node`)',
          () => addNode({ nodes: nodes(), node: fourth(), role: 'replica' }),
        ),
      },
      leaves,
    }))

  it.each([
    [
      'by the operation',
      said('an empty server by `addNode` (`slotwise add-node`)', () =>
        addNode({ nodes: nodes(), node: fourth(), role: 'replica' }),
      ),
    ],
    ['by the command', printed('CLUSTER REPLICATE', () => [fourth()])],
  ])('primary-without-replica: a cluster that is one short, until it is given one %s', async (way, fix) => {
    const bare = async () =>
      (await doctor(redis)).filter(({ id }) => id === 'primary-without-replica').map(({ node }) => node)
    await removeNode({ nodes: nodes(), node: fourth() })
    if (way === 'by the command') await addNode({ nodes: nodes(), node: fourth(), role: 'primary' })
    await expect.poll(bare, { timeout: 10_000 }).toHaveLength(3)
    const [finding] = (await doctor(redis)).filter(({ id }) => id === 'primary-without-replica')
    if (finding === undefined) throw new Error('it is gone')
    expect(finding.fix).toContain(fix.words)
    await fix.apply(redis, [finding])
    await expect.poll(bare, { timeout: 10_000 }).toHaveLength(2)
  })

  it('primary-idle: one without slots, until it has some', () =>
    cycle({
      through: () => redis,
      cause: async () => {
        await removeNode({ nodes: nodes(), node: fourth() })
        await addNode({ nodes: nodes(), node: fourth(), role: 'primary' })
      },
      remedies: {
        'primary-idle': said('Give it slots by `rebalance` (`slotwise rebalance`)', () =>
          rebalance({ nodes: nodes() }),
        ),
      },
      leaves,
    }))
})

it('epoch-collision: two primaries with one epoch, as long as the bus between them is cut', async () => {
  await using cut = await startLocalCluster({
    networkFaults: true,
    nodeTimeoutMs: 5000,
    replicasPerPrimary: 0,
  })
  await using redis = await connect(cut.connectOptions)
  await cycle({
    through: () => redis,
    cause: async () => {
      await cut.partition([[0], [1], [2]])
      // Either takes the next epoch that it has not heard of.
      for (const index of [0, 1]) await at(redis, cut, index, 'CLUSTER', 'BUMPEPOCH')
    },
    seen: (findings) => {
      const collision = findings.find(({ id }) => id === 'epoch-collision')
      expect(collision?.evidence).toMatch(/have the same configuration epoch, 4$/)
    },
    remedies: { 'epoch-collision': said('open the bus ports', () => cut.heal()) },
    leaves: ['primary-without-replica'],
  })
}, 30_000)

it('command-missing: a command that the server hides, until its file does not any more', async () => {
  await using servers = await startBareServers(1, { 'cluster-enabled': 'no' })
  await using redis = await connect({ nodes: servers.nodes })
  const node = servers.nodes[0] ?? ''
  const write = () => expect.poll(() => redis.onNode(node, ['SET', 'k', 'x']).catch(String)).toBe('OK')
  await cycle({
    through: () => redis,
    cause: async () => {
      await servers.restart(0, { 'cluster-enabled': 'no', 'rename-command': 'MEMORY ""' })
      await write()
    },
    seen: (findings) => {
      expect(findings).toMatchObject([{ id: 'command-missing', severity: 'info' }])
      expect(findings[0]?.evidence).toContain('there is no MEMORY USAGE at')
    },
    remedies: {
      'command-missing': said(
        'take the `rename-command` that hides it out of its file and restart it',
        async () => {
          await servers.restart(0, { 'cluster-enabled': 'no' })
          await write()
        },
      ),
    },
  })
}, 20_000)
