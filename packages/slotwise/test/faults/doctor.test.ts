import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusterInfo, doctor, type Finding } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { cycle, printed, said } from '../support/cycle.js'
import { at, everywhere, idsOf, nameOf } from '../support/doctor.js'
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

const through = () => port
/** Cluster and way as slow as the tests of one file make them. */
const FAULTS = { through, options: LIMIT, patienceMs: 15_000 }

describe('primaries that are gone', () => {
  it('nothing-served, quorum-lost and slots-suspected: two of three hang, until they are back', async () => {
    const [left = 0, ...lost] = indexes('primary')
    const resume = () => Promise.all(lost.map((index) => cluster.resume(index)))
    try {
      await cycle({
        ...FAULTS,
        cause: () => Promise.all(lost.map((index) => cluster.pause(index))),
        seen: async () => {
          const startedAt = performance.now()
          const findings = await doctor(port, LIMIT)
          // One deadline, though several nodes hang and each has a dozen questions to answer.
          expect(performance.now() - startedAt).toBeLessThan(900)
          expect(pick(findings, 'quorum-lost')).toMatchObject({ severity: 'critical' })
          expect(pick(findings, 'quorum-lost')?.evidence).toContain('1 of 3 primaries answer, 2 are needed')
          expect(pick(findings, 'slots-suspected')?.evidence).toMatch(/cluster_slots_pfail:109\d\d/)
          expect(findings.some(({ evidence }) => evidence.includes(nameAt(left)))).toBe(true)
        },
        remedies: {
          'nothing-served': said('Bring the nodes back that the evidence names', resume),
          'quorum-lost': said('Bring primaries back', resume),
          'slots-suspected': said('within the node timeout it is either elected away or well', () =>
            cluster.whenHealthy(),
          ),
        },
      })
    } finally {
      await resume()
    }
  })

  it('quorum-lost: two of three hang, until replicas have taken over by force', async () => {
    const [, ...lost] = indexes('primary')
    const { nodes } = await clusterInfo(port)
    const ids = lost.map((index) => cluster.nodes[index]?.id)
    const replicas = nodes.filter(({ primary }) => ids.includes(primary)).map(({ address }) => address)
    try {
      await cycle({
        ...FAULTS,
        cause: () => Promise.all(lost.map((index) => cluster.pause(index))),
        remedies: { 'quorum-lost': printed('CLUSTER FAILOVER TAKEOVER', replicas) },
        // Those that hang are two copies fewer.
        leaves: ['node-unreachable', 'primary-without-replica'],
      })
    } finally {
      for (const index of lost) await cluster.resume(index)
    }
  })

  it('slots-unserved: one hangs, until it is back or its replica has taken over', async () => {
    const [primary, replica] = await pair()
    const hang = () => cluster.pause(primary)
    const leaves = ['node-unreachable', 'primary-without-replica', 'slots-suspected'] as const
    try {
      await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-node-timeout', 5000)
      const back = said('Bring the owner back', () => cluster.resume(primary))
      await cycle({ ...FAULTS, cause: hang, remedies: { 'slots-unserved': back } })
      const taken = printed('CLUSTER FAILOVER TAKEOVER', [nameAt(replica)])
      await cycle({ ...FAULTS, cause: hang, remedies: { 'slots-unserved': taken }, leaves })
    } finally {
      await cluster.resume(primary)
      await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-node-timeout', 1000)
    }
  })

  it('slots-failed and node-unreachable: given up with its replica, until both are back', async () => {
    const [primary, replica] = await pair()
    await cycle({
      ...FAULTS,
      cause: async () => {
        await cluster.kill(replica)
        await cluster.kill(primary)
      },
      seen: (findings) => {
        expect(pick(findings, 'slots-failed')).toMatchObject({ severity: 'critical' })
        expect(pick(findings, 'slots-failed')?.evidence).toMatch(/^cluster_slots_fail:546[12], say/)
        // It is gone, so that nothing listens at its address is no fault of the address.
        expect(idsOf(findings)).not.toContain('address-unreachable')
      },
      remedies: {
        'slots-failed': said('Restart the owner', () => cluster.restart(primary)),
        'node-unreachable': said('Start or resume it', async () => {
          await cluster.restart(replica)
          await cluster.whenHealthy()
        }),
      },
    })
  })

  it('slots-failed: nobody was elected, until a replica has taken over', async () => {
    const [primary, replica] = await pair()
    // Such a replica never stands for election.
    await at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes')
    await cycle({
      ...FAULTS,
      cause: () => cluster.kill(primary),
      remedies: { 'slots-failed': printed('CLUSTER FAILOVER TAKEOVER', [nameAt(replica)]) },
      leaves: ['node-unreachable', 'primary-without-replica'],
    })
    await cluster.restart(primary)
    await at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'no')
  })
})

describe('a replica', () => {
  it('replica-lagging: further behind than the backlog reaches, by what its primary has heard from it', async () => {
    const [primary, replica] = await pair()
    await at(port, cluster, primary, 'CONFIG', 'SET', 'repl-backlog-size', 16_384)
    await cycle({
      ...FAULTS,
      cause: async () => {
        await cluster.pause(replica)
        for (let i = 0; i < 4; i++) {
          await at(port, cluster, primary, 'SET', keyAt(primary), 'x'.repeat(50_000))
        }
      },
      seen: (findings) => {
        const lagging = pick(findings, 'replica-lagging')
        expect(lagging).toMatchObject({ severity: 'warning', node: nameAt(replica) })
        expect(lagging?.evidence).toMatch(/is 20\d{4} bytes behind .* the backlog holds 16384/)
      },
      remedies: {
        'replica-lagging': said('See what holds it up (a hung process', () => cluster.resume(replica)),
      },
    })
    await at(port, cluster, primary, 'FLUSHALL')
    await at(port, cluster, primary, 'CONFIG', 'SET', 'repl-backlog-size', 1_048_576)
  })

  it('node-loading: one that reads its data serves nobody, until it has', async () => {
    const [primary, replica] = await pair()
    await cycle({
      ...FAULTS,
      cause: async () => {
        // A node that loads answers after every so many bytes, so these are to be many.
        await at(port, cluster, primary, 'CONFIG', 'SET', 'rdbcompression', 'no')
        await at(port, cluster, primary, 'DEBUG', 'POPULATE', 500, 'loaded', 2000)
        await at(port, cluster, replica, 'CONFIG', 'SET', 'loading-process-events-interval-bytes', 1024)
        await at(port, cluster, replica, 'CONFIG', 'SET', 'key-load-delay', 20_000)
        await at(port, cluster, primary, 'DEBUG', 'CHANGE-REPL-ID')
        await at(port, cluster, primary, 'CLIENT', 'KILL', 'TYPE', 'replica')
      },
      seen: (findings) =>
        expect(pick(findings, 'node-loading')).toMatchObject({
          severity: 'warning',
          node: nameAt(replica),
        }),
      remedies: {
        'node-loading': said('Wait until it has read its data: `INFO persistence` tells', async () => {
          const loading = async () => {
            const text = String(await at(port, cluster, replica, 'INFO', 'persistence'))
            return Number(/loading_loaded_perc:([\d.]+)/.exec(text)?.[1] ?? 100)
          }
          expect(await loading()).toBeLessThan(100)
          await at(port, cluster, replica, 'CONFIG', 'SET', 'key-load-delay', 0)
          await expect.poll(loading, { timeout: 10_000 }).toBe(100)
        }),
      },
    })
    await at(port, cluster, primary, 'FLUSHALL')
    await at(port, cluster, primary, 'CONFIG', 'SET', 'rdbcompression', 'yes')
  }, 30_000)
})

describe('the way to the nodes', () => {
  it.each(['announced right', 'mapped'])(
    'address-unreachable: an announced address that leads nowhere, until it is %s',
    async (way) => {
      const [, replica] = await pair()
      const real = cluster.nodes[replica]?.port ?? 0
      const endpointMap = (node: { readonly host: string; readonly port: number }) =>
        node.port === 1 ? { ...node, port: real } : node
      const control = await connect(cluster.connectOptions)
      const mapped = await connect({ ...cluster.connectOptions, endpointMap })
      let current = port
      const announce = (its: number) =>
        control.onNode(`127.0.0.1:${real}`, ['CONFIG', 'SET', 'cluster-announce-port', its])
      try {
        await cycle({
          ...FAULTS,
          through: () => current,
          // Nobody listens at port 1.
          cause: () => announce(1),
          seen: async (findings) => {
            expect(pick(findings, 'address-unreachable')).toMatchObject({ node: '127.0.0.1:1' })
            expect(pick(findings, 'address-unreachable')?.evidence).toContain('ECONNREFUSED')
            // The others connect anew to the node that has announced itself anew.
            const evidence = async () => pick(await doctor(port, LIMIT), 'node-unreachable')?.evidence
            await expect.poll(evidence, { timeout: 10_000 }).toContain('the others see it at work')
          },
          remedies: {
            'address-unreachable':
              way === 'mapped'
                ? said('give `connect` an `endpointMap`', () => {
                    current = mapped
                  })
                : said(
                    'Announce where clients reach it (`cluster-announce-ip`, `cluster-announce-port`',
                    () => announce(0),
                  ),
          },
        })
      } finally {
        await announce(0)
        await control.close()
        await mapped.close()
      }
    },
  )

  it('address-unreachable and nothing-served: every address, where the cluster announces what leads nowhere from here', async () => {
    // What a client meets outside of the network of its containers: a seed that answers, and addresses that do not.
    let isOutside = false
    const endpointMap = (node: { readonly host: string; readonly port: number }) =>
      isOutside ? { ...node, port: 1 } : node
    const outside = await connect({ ...cluster.connectOptions, endpointMap })
    const map = () => {
      isOutside = false
    }
    try {
      await cycle({
        ...FAULTS,
        through: () => outside,
        cause: () => {
          isOutside = true
        },
        seen: (findings) => {
          expect(findings[0]).toMatchObject({ id: 'nothing-served', severity: 'critical' })
          const nodes = findings.flatMap(({ id, node }) => (id === 'address-unreachable' ? [node] : []))
          expect(new Set(nodes)).toEqual(new Set(cluster.nodes.map(nameOf)))
        },
        remedies: { 'address-unreachable': said('give `connect` an `endpointMap`', map) },
      })
    } finally {
      await outside.close()
    }
  })

  it('node-suspected: one that answers here and not on the bus, until its bus is open again', async () => {
    const [, replica] = await pair()
    const bus = (its: number) => at(port, cluster, replica, 'CONFIG', 'SET', 'cluster-announce-bus-port', its)
    await cycle({
      ...FAULTS,
      cause: () => bus(1),
      seen: (findings) =>
        expect(pick(findings, 'node-suspected')).toMatchObject({
          severity: 'warning',
          node: nameAt(replica),
        }),
      remedies: { 'node-suspected': said('Open the bus ports', () => bus(0)) },
    })
  }, 40_000)

  it('node-timeout-tight and client-timeout-short: a way that takes long, until both sides wait longer', async () => {
    const way = await SlowWay.open(cluster, 60)
    const options = { ...cluster.connectOptions, endpointMap: way.to }
    const hasty = await connect({ ...options, commandTimeoutMs: 500 })
    const patient = await connect(options)
    let current = port
    try {
      await cycle({
        ...FAULTS,
        options: { timeoutMs: 3000 },
        through: () => current,
        operator: port,
        cause: () => {
          current = hasty
        },
        seen: (findings) => {
          expect(new Set(idsOf(findings))).toEqual(new Set(['node-timeout-tight', 'client-timeout-short']))
          expect(findings.filter(({ id }) => id === 'node-timeout-tight')).toHaveLength(6)
        },
        remedies: {
          'node-timeout-tight': printed('CONFIG SET cluster-node-timeout'),
          'client-timeout-short': said('Raise `commandTimeoutMs` of `connect`', () => {
            current = patient
          }),
        },
      })
    } finally {
      await hasty.close()
      await patient.close()
      way.close()
      await everywhere(port, cluster, 'CONFIG', 'SET', 'cluster-node-timeout', 1000)
    }
  }, 30_000)
})

describe('a node that is gone for good', () => {
  it('node-unreachable: until every other node has forgotten it', async () => {
    const [, replica] = await pair()
    const others = cluster.nodes.filter((_, index) => index !== replica).map(nameOf)
    await cycle({
      ...FAULTS,
      cause: () => cluster.kill(replica),
      remedies: { 'node-unreachable': printed('CLUSTER FORGET', others) },
      leaves: ['primary-without-replica'],
    })
    await cluster.restartEmpty(replica)
  })
})
