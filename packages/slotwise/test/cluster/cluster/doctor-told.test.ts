import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { clusterInfo, doctor, failover } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import type { RedisPort, Reply } from '../../../src/redis/index.js'
import { cycle, printed, said } from '../../support/cycle.js'
import { altered, asStarted, at, everywhere, idsOf, nameOf } from '../../support/doctor.js'

/*
 * What this machine cannot cause (several hosts, versions, clocks, little memory) is told to the doctor by a real
 * cluster some of whose answers are made up on the way. What a fix prints is run on the real servers all the same.
 */

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
  await asStarted(port, cluster)
  await everywhere(port, cluster, 'CONFIG', 'RESETSTAT')
})

type Edit = Parameters<typeof altered>[1]
const AS_IT_IS: Edit = (_command, reply) => reply

const first = () => {
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('there is no node')
  return node
}
const isFirst = (node: string) => node === first().id || node === nameOf(first())

interface World {
  readonly port: RedisPort
  isSo: boolean
}

/** A cluster some of whose answers are made up as long as this is so. */
function world(edit: Edit): World {
  const made: World = {
    isSo: false,
    port: altered(port, (command, reply, node) => (made.isSo ? edit(command, reply, node) : reply)),
  }
  return made
}

/** Sets fields of INFO. */
function withFields(reply: Reply, fields: Readonly<Record<string, string | number>>): string {
  const kept = String(reply)
    .split('\r\n')
    .filter((line) => !Object.keys(fields).includes(line.split(':')[0] ?? ''))
  return [...kept, ...Object.entries(fields).map(([name, value]) => `${name}:${value}`)].join('\r\n')
}
const infoOfFirst =
  (fields: Readonly<Record<string, string | number>>): Edit =>
  (command, reply, node) =>
    command === 'INFO' && isFirst(node) ? withFields(reply, fields) : reply

const GB = 2 ** 30
const HUGE =
  'I have a few advices for you:\n\n- I detected a non zero amount of anonymous huge pages used by your process.'
const IN_HALF = { used_memory: 17 * GB, total_system_memory: 32 * GB }

describe('what is about machines, as scripted', () => {
  it.each([
    {
      id: 'version-skew',
      edit: infoOfFirst({ redis_version: '7.2.4' }),
      evidence: 'versions differ: ',
      remedies: (end: () => unknown) => ({ 'version-skew': said('Finish the upgrade', end) }),
    },
    {
      id: 'huge-pages',
      edit: ((command, reply, node) =>
        command === 'LATENCY DOCTOR' && isFirst(node) ? HUGE : reply) satisfies Edit,
      evidence: 'finds anonymous huge pages',
      remedies: (end: () => unknown) => ({
        'huge-pages': said(
          '`echo never > /sys/kernel/mm/transparent_hugepage/enabled`, then restart the server',
          end,
        ),
      }),
    },
    {
      id: 'fork-too-large',
      edit: ((command, reply, node) => {
        if (!isFirst(node)) return reply
        if (command === 'INFO') return withFields(reply, IN_HALF)
        return command.startsWith('CONFIG GET')
          ? [...(reply as readonly Reply[]), 'appendonly', 'yes']
          : reply
      }) satisfies Edit,
      evidence: `uses ${17 * GB} of ${32 * GB} bytes of its machine`,
      remedies: (end: () => unknown) => ({ 'fork-too-large': said('leave it room: memory', end) }),
    },
    {
      id: 'clock-skew',
      edit: ((command, reply, node) =>
        command === 'TIME' && isFirst(node)
          ? [String(Number((reply as readonly string[])[0]) + 2), (reply as readonly string[])[1] ?? '0']
          : reply) satisfies Edit,
      evidence: 'ms ahead of',
      remedies: (end: () => unknown) => ({ 'clock-skew': said('another NTP client keep the time', end) }),
    },
  ])(
    '$id: one node that tells of it, until it does not any more',
    async ({ id, edit, evidence, remedies }) => {
      const made = world(edit)
      await cycle({
        through: () => made.port,
        cause: () => {
          made.isSo = true
        },
        seen: (findings) => {
          expect(findings).toHaveLength(1)
          expect(findings[0]?.evidence).toContain(evidence)
          if (id !== 'version-skew') expect(findings[0]?.node).toBe(nameOf(first()))
        },
        remedies: remedies(() => {
          made.isSo = false
        }),
      })
    },
  )

  it('memory-unbounded: servers without a limit on a host that is nearly used up, until each has one', async () => {
    const made = world((command, reply) =>
      command === 'INFO'
        ? withFields(reply, { used_memory_rss: 4 * GB, total_system_memory: 32 * GB })
        : reply,
    )
    await cycle({
      through: () => made.port,
      cause: () => {
        made.isSo = true
      },
      seen: (findings) => {
        expect(findings).toHaveLength(6)
        expect(findings[0]?.evidence).toContain(
          `has no maxmemory, and the servers of its host use ${24 * GB} of ${32 * GB} bytes`,
        )
        const [, limit] = /`CONFIG SET maxmemory (\d+)mb`/.exec(findings[0]?.fix ?? '') ?? []
        expect(Number(limit) * 6 * 2 ** 20).toBeLessThan(32 * GB)
      },
      remedies: { 'memory-unbounded': printed('CONFIG SET maxmemory') },
    })
  })

  it('memory-unbounded is not said where there is room', async () => {
    const roomy: Edit = (command, reply) =>
      command === 'INFO' ? withFields(reply, { used_memory_rss: GB, total_system_memory: 32 * GB }) : reply
    expect(await doctor(altered(port, roomy))).toEqual([])
  })

  it('fork-slow: a fork of hundreds of milliseconds, until it is counted anew', async () => {
    // What the fork of a small server takes, as if the server were a large one.
    const made = world((command, reply, node) => {
      if (command !== 'INFO' || !isFirst(node)) return reply
      const took = Number(/latest_fork_usec:(\d+)/.exec(String(reply))?.[1])
      return withFields(reply, { latest_fork_usec: took === 0 ? 0 : took + 350_000 })
    })
    await cycle({
      through: () => made.port,
      cause: async () => {
        made.isSo = true
        await at(port, cluster, 0, 'BGSAVE')
        const persistence = () => at(port, cluster, 0, 'INFO', 'persistence')
        await expect.poll(persistence).toContain('rdb_bgsave_in_progress:0')
      },
      seen: (findings) => {
        expect(findings).toMatchObject([{ id: 'fork-slow', node: nameOf(first()) }])
        expect(findings[0]?.evidence).toMatch(/took 3[56]\d ms/)
      },
      remedies: { 'fork-slow': printed('CONFIG RESETSTAT') },
    })
  })

  it('output-buffers-cut: connections ended by Redis 7.2, which counts them, until it counts anew', async () => {
    let count = 0
    const made = world((command, reply, node) => {
      if (!isFirst(node)) return reply
      if (command === 'CONFIG RESETSTAT') count = 0
      const fields = { client_output_buffer_limit_disconnections: count }
      return command === 'INFO' ? withFields(reply, fields) : reply
    })
    await cycle({
      through: () => made.port,
      cause: () => {
        made.isSo = true
        count = 3
      },
      seen: (findings) => expect(findings[0]?.evidence).toContain('has ended 3 connections'),
      remedies: { 'output-buffers-cut': printed('CONFIG RESETSTAT') },
    })
  })
})

describe('a clock', () => {
  it('is not blamed for a slow way', async () => {
    const slow: Edit = async (command, reply, node) => {
      if (command === 'TIME' && isFirst(node)) await new Promise((resolve) => setTimeout(resolve, 200))
      return reply
    }
    expect(idsOf(await doctor(altered(port, slow)))).not.toContain('clock-skew')
  })

  it('that is behind is named as the one that is', async () => {
    const behind: Edit = (command, reply, node) =>
      command === 'TIME' && isFirst(node) ? [String(Number((reply as readonly string[])[0]) - 5), '0'] : reply
    const findings = await doctor(altered(port, behind))
    expect(findings.map(({ id, node }) => [id, node])).toEqual([['clock-skew', nameOf(first())]])
    expect(findings[0]?.evidence).toMatch(/at least [45]\d\d\d ms behind/)
  })
})

describe('several hosts, as scripted', () => {
  /** The cluster as if each of its servers were on the host that is told by its index. */
  function spread(hosts: readonly string[]): RedisPort {
    const hostOf = (its: number) => hosts[cluster.nodes.findIndex((node) => node.port === its)] ?? '127.0.0.1'
    const topology = () => {
      const real = port.topology()
      const nodes = real.nodes.map((node) => ({ ...node, host: hostOf(node.port) }))
      return { ...real, nodes, ownerOf: (slot: number) => real.ownerOf(slot) }
    }
    const setup = port.setup && {
      ...port.setup,
      reach: (to: { port: number }) => ({ ...to, host: '127.0.0.1' }),
    }
    return altered(port, AS_IT_IS, {
      topology,
      ...(setup ? { setup } : {}),
      onNode: (node, ...rest) => port.onNode(node.replace(/^192\.0\.2\.\d+:/, '127.0.0.1:'), ...rest),
    })
  }
  const A = '192.0.2.1'
  const B = '192.0.2.2'
  const C = '192.0.2.3'
  /** The primaries that were at first, by their index, and the replica of each as the nodes tell it now. */
  async function pairs(): Promise<readonly (readonly [primary: number, replica: number])[]> {
    const { nodes } = await clusterInfo(port)
    return [0, 1, 2].map((i) => {
      const replica = nodes.find(({ primary }) => primary === cluster.nodes[i]?.id)
      return [i, cluster.nodes.findIndex(({ id }) => id === replica?.id)]
    })
  }

  it('replica-beside-primary: what is lost together, until replicas have changed places', async () => {
    const hosts: string[] = []
    const made = spread(hosts)
    await cycle({
      through: () => made,
      cause: async () => {
        for (const [i, [primary, replica]] of (await pairs()).entries()) {
          hosts[primary] = hosts[replica] = [A, B, C][i] ?? ''
        }
      },
      seen: (findings) =>
        expect(idsOf(findings).filter((id) => id === 'replica-beside-primary')).toHaveLength(3),
      remedies: { 'replica-beside-primary': printed('CLUSTER REPLICATE') },
    })
    await cluster.whenHealthy()
  })

  it('majority-on-one-host: until replicas elsewhere have taken over', async () => {
    const hosts: string[] = []
    const made = spread(hosts)
    await cycle({
      through: () => made,
      cause: async () => {
        for (const [i, [primary, replica]] of (await pairs()).entries()) {
          hosts[primary] = A
          hosts[replica] = [C, B, C][i] ?? ''
        }
      },
      remedies: {
        'majority-on-one-host': said('`failover` (`slotwise failover`), until no host has most', async () => {
          for (const [, replica] of (await pairs()).slice(0, 2)) {
            await failover({ ...cluster.connectOptions, to: cluster.nodes[replica]?.id })
          }
        }),
      },
    })
  })

  it('are not judged when all is loopback', async () => {
    expect(idsOf(await doctor(spread([])))).toEqual([])
  })
})
