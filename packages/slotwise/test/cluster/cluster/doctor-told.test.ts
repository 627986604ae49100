import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { doctor, type Finding, type FindingId } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort, Reply } from '../../../src/redis/index.js'
import { altered, idsOf } from '../../support/doctor.js'

/*
 * What this machine cannot cause (several hosts, versions, clocks, little memory) is told to the doctor by a real
 * cluster some of whose answers are changed on the way. The cluster is shared, so only the finding in question counts.
 */

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes') })
})
afterAll(() => port.close())

type Edit = Parameters<typeof altered>[1]

const told = async (id: FindingId, edit: Edit): Promise<readonly Finding[]> =>
  (await doctor(altered(port, edit))).filter((finding) => finding.id === id)

/** The node whose answers are changed. */
const one = (role: 'primary' | 'replica' = 'primary') => {
  const node = port.topology().nodes.find((each) => each.role === role)
  if (node === undefined) throw new Error(`there is no ${role}`)
  return node
}

/** Sets fields of INFO at one node. */
const info =
  (fields: Readonly<Record<string, string | number>>, at: string = one().id): Edit =>
  (command, reply, node) =>
    command === 'INFO' && node === at ? withFields(String(reply), fields) : reply

function withFields(text: string, fields: Readonly<Record<string, string | number>>): string {
  const kept = text.split('\r\n').filter((line) => !Object.keys(fields).includes(line.split(':')[0] ?? ''))
  return [...kept, ...Object.entries(fields).map(([name, value]) => `${name}:${value}`)].join('\r\n')
}

const nameOfOne = () => `${one().host}:${one().port}`
const GB = 2 ** 30

describe.each<[FindingId, string, () => Edit, string]>([
  ['version-skew', 'another version', () => info({ redis_version: '7.2.4' }), 'versions differ: '],
  [
    'output-buffers-cut',
    'connections ended by Redis 7.2, which counts them',
    () => info({ client_output_buffer_limit_disconnections: 3 }),
    'has ended 3 connections',
  ],
  ['fork-slow', 'a fork of 350 ms', () => info({ latest_fork_usec: 350_000 }), 'took 350 ms'],
  [
    'huge-pages',
    'huge pages in its process',
    () => (command, reply, node) =>
      command === 'LATENCY DOCTOR' && node === one().id
        ? 'I have a few advices for you:\n\n- I detected a non zero amount of anonymous huge pages used by your process.'
        : reply,
    'finds anonymous huge pages',
  ],
  [
    'fork-too-large',
    'a log, and more than half of the memory used',
    () => (command, reply, node) => {
      if (node !== one().id) return reply
      if (command === 'INFO')
        return withFields(String(reply), { used_memory: 17 * GB, total_system_memory: 32 * GB })
      return command.startsWith('CONFIG GET') ? [...(reply as readonly Reply[]), 'appendonly', 'yes'] : reply
    },
    `uses ${17 * GB} of ${32 * GB} bytes of its machine`,
  ],
  [
    'clock-skew',
    'a clock that is two seconds ahead',
    () => (command, reply, node) => {
      if (command !== 'TIME' || node !== one().id) return reply
      const [seconds, micros] = reply as readonly string[]
      return [String(Number(seconds) + 2), micros ?? '0']
    },
    'ms ahead of',
  ],
])('%s', (id, what, edit, evidence) => {
  it(`is told of a node that reports ${what}, and not of the cluster as it is`, async () => {
    const findings = await told(id, edit())
    expect(findings).toHaveLength(1)
    expect(findings[0]?.evidence).toContain(evidence)
    if (id !== 'version-skew') expect(findings[0]?.node).toBe(nameOfOne())
    expect(idsOf(await doctor(port))).not.toContain(id)
  })
})

it('memory-unbounded: every server without a limit on a host that is nearly used up, until each has one', async () => {
  const used = { used_memory_rss: 4 * GB, total_system_memory: 32 * GB }
  const everywhere =
    (fields: Readonly<Record<string, number>>): Edit =>
    (command, reply) =>
      command === 'INFO' ? withFields(String(reply), fields) : reply
  const findings = await told('memory-unbounded', everywhere({ ...used, maxmemory: 0 }))
  expect(findings).toHaveLength(6)
  expect(findings[0]?.evidence).toContain(
    `has no maxmemory, and the servers of its host use ${24 * GB} of ${32 * GB} bytes`,
  )
  const [, limit] = /`CONFIG SET maxmemory (\d+)mb`/.exec(findings[0]?.fix ?? '') ?? []
  expect(Number(limit) * 6 * 2 ** 20).toBeLessThan(32 * GB)
  const limited = everywhere({ ...used, maxmemory: Number(limit) * 2 ** 20 })
  expect(await told('memory-unbounded', limited)).toEqual([])
  expect(await told('memory-unbounded', everywhere({ ...used, used_memory_rss: GB, maxmemory: 0 }))).toEqual(
    [],
  )
})

it('clock-skew: a clock is not blamed for a slow way', async () => {
  const slow: Edit = async (command, reply, node) => {
    if (command === 'TIME' && node === one().id) await new Promise((resolve) => setTimeout(resolve, 200))
    return reply
  }
  expect(await told('clock-skew', slow)).toEqual([])
})

it('clock-skew: a clock that is behind is named as the one that is', async () => {
  const behind: Edit = (command, reply, node) =>
    command === 'TIME' && node === one().id
      ? [String(Number((reply as readonly string[])[0]) - 5), '0']
      : reply
  const findings = await told('clock-skew', behind)
  expect(findings.map(({ node }) => node)).toEqual([nameOfOne()])
  expect(findings[0]?.evidence).toMatch(/at least [45]\d\d\d ms behind/)
})

it('epoch-collision: two primaries with one configuration epoch, which Redis itself mends too soon to be caught', async () => {
  const collide: Edit = (command, reply) =>
    command === 'CLUSTER NODES'
      ? String(reply)
          .split('\n')
          .map((line) => line.split(' '))
          .map((parts) => (parts[2]?.includes('master') ? parts.with(6, '9') : parts).join(' '))
          .join('\n')
      : reply
  const findings = await told('epoch-collision', collide)
  expect(findings).toHaveLength(1)
  expect(findings[0]?.evidence).toContain('have the same configuration epoch, 9')
  expect(findings[0]?.fix).toContain('`CLUSTER BUMPEPOCH`')
})

describe('several hosts', () => {
  /** A topology in which each node has the host that `hostOf` gives it. */
  const spread = (hostOf: (role: string, index: number) => string): RedisPort => {
    const real = port.topology()
    const index = { primary: 0, replica: 0 }
    const primaries = real.nodes.filter(({ role }) => role === 'primary').map(({ id }) => id)
    const nodes = real.nodes.map((node) => ({
      ...node,
      // A replica counts as its primary does.
      host: hostOf(
        node.role,
        node.role === 'primary' ? index.primary++ : primaries.indexOf(node.primary ?? ''),
      ),
    }))
    const pass = altered(port, (_command, reply) => reply)
    return { ...pass, topology: () => ({ ...real, nodes, ownerOf: (slot) => real.ownerOf(slot) }) }
  }
  const ids = async (hostOf: (role: string, index: number) => string) =>
    new Set(idsOf(await doctor(spread(hostOf), { timeoutMs: 500 })).filter((id) => /host|beside/.test(id)))

  it('replica-beside-primary, and majority-on-one-host: what is lost together', async () => {
    expect(await ids((_, index) => `192.0.2.${index + 1}`)).toEqual(new Set(['replica-beside-primary']))
    expect(await ids((role) => (role === 'primary' ? '192.0.2.1' : '192.0.2.2'))).toEqual(
      new Set(['majority-on-one-host']),
    )
  })

  it('are not judged when each replica is elsewhere, nor when all is loopback', async () => {
    const apart = (role: string, index: number) =>
      `192.0.2.${(role === 'primary' ? index : (index + 1) % 3) + 1}`
    expect(await ids(apart)).toEqual(new Set())
    expect(await ids(() => '127.0.0.1')).toEqual(new Set())
  })
})
