import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { doctor, type FindingId } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { freePorts } from '../../../src/local/ports.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { cycle, printed, said } from '../../support/cycle.js'
import { asStarted, at, everywhere, idsOf, nameOf, remedy } from '../../support/doctor.js'

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
// Each test ends with a clean bill by its own fix; this only keeps one that fails from failing the others.
afterEach(async () => {
  await asStarted(port, cluster)
  for (const index of primaries()) await at(port, cluster, index, 'FLUSHALL')
  await everywhere(port, cluster, 'CONFIG', 'RESETSTAT')
})

const primaries = () => cluster.nodes.flatMap(({ role }, index) => (role === 'primary' ? [index] : []))
const FIRST = 0
const set = (name: string, value: string | number) => at(port, cluster, FIRST, 'CONFIG', 'SET', name, value)
const name = () => nameOf(cluster.nodes[FIRST] ?? { host: '', port: 0 })

const through = () => port

describe('connections', () => {
  it('connections-rejected: who is turned away is counted, and allowed by the fix', () =>
    cycle({
      through,
      cause: async () => {
        await set('maxclients', 1)
        const stranger = new Redis(cluster.nodes[FIRST]?.port ?? 0, {
          lazyConnect: true,
          retryStrategy: null,
        })
        stranger.on('error', () => {})
        await expect(stranger.ping()).rejects.toThrow(/max number of clients|closed/i)
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'warning', node: name() }]),
      remedies: { 'connections-rejected': printed() },
    }))

  it.each([
    ['subscribers', 'pubsub 0 0 0'],
    ['subscribers and replicas', 'replica 0 0 0 pubsub 0 0 0'],
  ])('output-buffers-unbounded: %s that may use up all memory', (_who, limits) =>
    cycle({
      through,
      cause: () => set('client-output-buffer-limit', limits),
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'warning', node: name() }]),
      remedies: { 'output-buffers-unbounded': printed('CONFIG SET client-output-buffer-limit') },
    }),
  )
})

describe('a node that takes connections from other machines', () => {
  // An address that no machine has, which a dash allows to be missing: nobody can connect there.
  const BEYOND = '127.0.0.1 -192.0.2.1'
  const OPEN: readonly FindingId[] = ['open-to-all', 'persistence-off', 'dangerous-commands', 'plaintext']

  it('is held to open-to-all, persistence-off and dangerous-commands, which do not matter on loopback', async () => {
    await cycle({
      through,
      cause: async () => {
        await set('bind', BEYOND)
        await set('protected-mode', 'no')
      },
      seen: async (findings) => {
        expect(idsOf(findings)).toEqual(OPEN)
        expect(findings.map(({ severity }) => severity)).toEqual([
          'critical',
          'warning',
          'warning',
          'warning',
        ])
        expect(idsOf(await doctor(port, { usage: ['ratelimit'] }))).not.toContain('persistence-off')
      },
      remedies: {
        'open-to-all': printed('CONFIG SET protected-mode yes'),
        'persistence-off': printed('CONFIG SET appendonly yes'),
        'dangerous-commands': printed('ACL SETUSER default'),
      },
      leaves: ['plaintext'],
    })
    await at(port, cluster, FIRST, 'ACL', 'SETUSER', 'default', '+@all')
  })

  it('plaintext: as long as a plain port is open beside that of TLS', async () => {
    const secure = await startLocalCluster({ replicasPerPrimary: 0, tls: true, nodeTimeoutMs: 1000 })
    const safe = await connect(secure.connectOptions)
    try {
      await cycle({
        through: () => safe,
        cause: async () => {
          const [free] = await freePorts(1)
          await everywhere(safe, secure, 'CONFIG', 'SET', 'bind', BEYOND)
          expect(idsOf(await doctor(safe))).not.toContain('plaintext')
          await at(safe, secure, 0, 'CONFIG', 'SET', 'port', free ?? 0)
        },
        seen: (findings) => {
          const plain = findings.filter(({ id }) => id === 'plaintext')
          const node = nameOf(secure.nodes[0] ?? { host: '', port: 0 })
          expect(plain).toMatchObject([{ severity: 'warning', node }])
        },
        remedies: { plaintext: printed('CONFIG SET port 0') },
        // There are no replicas, and nothing of them was mended.
        leaves: ['primary-without-replica', ...OPEN.filter((id) => id !== 'plaintext')],
      })
    } finally {
      await safe.close()
      await secure.stop()
    }
  }, 30_000)
})

describe('the client', () => {
  it('client-refresh-slow and client-timeout-long: settings that outlast the cluster, until they are changed', async () => {
    const clients = [port]
    const change = async (settings: { topologyRefreshMs: number; commandTimeoutMs: number }) =>
      clients.unshift(await connect({ ...cluster.connectOptions, ...settings }))
    try {
      await cycle({
        through: () => clients[0] ?? port,
        cause: () => change({ topologyRefreshMs: 60_000, commandTimeoutMs: 60_000 }),
        seen: (findings) => expect(idsOf(findings)).toEqual(['client-refresh-slow', 'client-timeout-long']),
        remedies: {
          'client-refresh-slow': said('Set `topologyRefreshMs` of `connect` to 1000', () =>
            change({ topologyRefreshMs: 1000, commandTimeoutMs: 60_000 }),
          ),
          'client-timeout-long': said('Lower `commandTimeoutMs` of `connect`', () =>
            change({ topologyRefreshMs: 1000, commandTimeoutMs: 3000 }),
          ),
        },
      })
    } finally {
      for (const client of clients.filter((each) => each !== port)) await client.close()
    }
  })
})

describe('primaries that take no writes', () => {
  const refuse = () => set('min-replicas-to-write', 2)

  it('writes-need-replicas: too few follow, until as many as there are will do', () =>
    cycle({
      through,
      cause: refuse,
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'critical', node: name() }]),
      remedies: { 'writes-need-replicas': printed('CONFIG SET min-replicas-to-write') },
    }))

  it('canary-failed: what is written, read and expires on every primary tells when one refuses', async () => {
    await cycle({
      through,
      options: { active: true },
      cause: async () => {
        await refuse()
        expect(idsOf(await doctor(port))).toEqual(['writes-need-replicas'])
      },
      seen: async (findings) => {
        expect(findings).toMatchObject([
          { id: 'writes-need-replicas', node: name() },
          { id: 'canary-failed', node: name(), severity: 'critical' },
        ])
        expect(findings[1]?.evidence).toMatch(/^write at .* NOREPLICAS/)
      },
      remedies: {
        'canary-failed': said('other findings about the node say more', async () => {
          for (const finding of await doctor(port)) await remedy(port, finding)
        }),
      },
    })
    await set('min-replicas-to-write', 0)
    for (const index of primaries()) expect(await at(port, cluster, index, 'DBSIZE')).toBe(0)
  })
})

describe('rights', () => {
  it('permission-missing: names each right that would let it see more, and finds no fault in what it cannot see', async () => {
    const rules = ['on', '>w', '+@all', '~*'] as const
    await everywhere(port, cluster, 'ACL', 'SETUSER', 'watcher', ...rules)
    const watcher = await connect({ ...cluster.connectOptions, username: 'watcher', password: 'w' })
    const missing = (lacking: readonly string[], ...change: string[]) =>
      cycle({
        through: () => watcher,
        operator: port,
        cause: async () => {
          await everywhere(port, cluster, 'ACL', 'SETUSER', 'watcher', ...change)
          // Keys are weighed where there are some.
          if (!change.includes('-@all')) await at(port, cluster, FIRST, 'SET', keyOn(FIRST), 'x')
        },
        seen: (findings) => {
          for (const { id, severity, fix } of findings) {
            expect({ id, severity }).toEqual({ id: 'permission-missing', severity: 'info' })
            expect(fix).toContain('ACL SETUSER watcher ')
          }
          const rights = findings.map(({ evidence }) => String(/lacks (\S+)/.exec(evidence)?.[1]))
          expect(rights.toSorted((a, b) => a.localeCompare(b))).toEqual(lacking)
        },
        remedies: { 'permission-missing': printed('ACL SETUSER watcher', cluster.nodes.map(nameOf)) },
      })
    try {
      await missing(
        ['+acl|dryrun', '+acl|getuser', '+config|get', '+info', '+latency|doctor', '+scan', '+time'],
        'resetkeys',
        '-@all',
        '+cluster',
        '+ping',
        '+acl|whoami',
      )
      await missing(['+memory|usage'], '~*')
      await missing(['~*'], 'resetkeys')
    } finally {
      await watcher.close()
      await everywhere(port, cluster, 'ACL', 'DELUSER', 'watcher')
    }
  })
})

/** A key that lives at this node. */
function keyOn(index: number): Key {
  const space = { namespace: '', pattern: 'doctor', name: 'tests' }
  for (let i = 0; ; i++) {
    const key = keyOf(space, [i])
    if (port.topology().ownerOf(slotOf(key))?.port === cluster.nodes[index]?.port) return key
  }
}
