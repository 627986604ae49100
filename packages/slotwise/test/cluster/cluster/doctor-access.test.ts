import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type DoctorOptions, doctor, type FindingId } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { freePorts } from '../../../src/local/ports.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { asStarted, at, cured, everywhere, idsOf, nameOf, remedy } from '../../support/doctor.js'

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

const curedByItsFix = (id: FindingId, options?: DoctorOptions) => cured(port, name(), id, options)

describe('connections', () => {
  it('connections-rejected: who is turned away is counted, and allowed by the fix', async () => {
    await set('maxclients', 1)
    const stranger = new Redis(cluster.nodes[FIRST]?.port ?? 0, { lazyConnect: true, retryStrategy: null })
    stranger.on('error', () => {})
    await expect(stranger.ping()).rejects.toThrow(/max number of clients|closed/i)
    expect(await curedByItsFix('connections-rejected')).toBe('warning')
  })

  it('output-buffers-unbounded: subscribers and replicas that may use up all memory', async () => {
    await set('client-output-buffer-limit', 'pubsub 0 0 0')
    expect(await curedByItsFix('output-buffers-unbounded')).toBe('warning')
    await set('client-output-buffer-limit', 'replica 0 0 0 pubsub 0 0 0')
    expect(await curedByItsFix('output-buffers-unbounded')).toBe('warning')
  })
})

describe('a node that takes connections from other machines', () => {
  // An address that no machine has, which a dash allows to be missing: nobody can connect there.
  const BEYOND = '127.0.0.1 -192.0.2.1'

  it('is held to what does not matter on loopback, each until its fix is applied', async () => {
    expect(idsOf(await doctor(port))).toEqual([])
    await set('bind', BEYOND)
    await set('protected-mode', 'no')
    const findings = await doctor(port)
    expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual([
      'critical open-to-all',
      'warning persistence-off',
      'warning dangerous-commands',
      'warning plaintext',
    ])
    expect(idsOf(await doctor(port, { usage: ['ratelimit'] }))).not.toContain('persistence-off')
    const left = new Set(idsOf(findings))
    for (const finding of findings) {
      if (finding.id === 'plaintext') continue
      await remedy(port, finding)
      left.delete(finding.id)
      expect(new Set(idsOf(await doctor(port)))).toEqual(left)
    }
    await at(port, cluster, FIRST, 'ACL', 'SETUSER', 'default', '+@all')
    await set('bind', '127.0.0.1')
  })

  it('plaintext: as long as a plain port is open beside that of TLS', async () => {
    const secure = await startLocalCluster({ replicasPerPrimary: 0, tls: true, nodeTimeoutMs: 1000 })
    const safe = await connect(secure.connectOptions)
    const plain = async () => idsOf(await doctor(safe)).filter((id) => id === 'plaintext')
    try {
      await everywhere(safe, secure, 'CONFIG', 'SET', 'bind', BEYOND)
      expect(await plain()).toEqual([])
      const [free] = await freePorts(1)
      await at(safe, secure, 0, 'CONFIG', 'SET', 'port', free ?? 0)
      const finding = (await doctor(safe)).find(({ id }) => id === 'plaintext')
      expect(finding).toMatchObject({
        severity: 'warning',
        node: nameOf(secure.nodes[0] ?? { host: '', port: 0 }),
      })
      if (finding) await remedy(safe, finding)
      expect(await plain()).toEqual([])
    } finally {
      await safe.close()
      await secure.stop()
    }
  }, 30_000)
})

describe('the client', () => {
  it('client-refresh-slow and client-timeout-long: settings that outlast the cluster, until they are changed', async () => {
    const slow = await connect({
      ...cluster.connectOptions,
      topologyRefreshMs: 60_000,
      commandTimeoutMs: 60_000,
    })
    try {
      expect(idsOf(await doctor(slow))).toEqual(['client-refresh-slow', 'client-timeout-long'])
    } finally {
      await slow.close()
    }
    expect(await doctor(port)).toEqual([])
  })
})

describe('active probes', () => {
  it('canary-failed: what is written, read and expires on every primary tells when one refuses', async () => {
    await set('min-replicas-to-write', 2)
    expect(idsOf(await doctor(port))).toEqual(['writes-need-replicas'])
    const findings = await doctor(port, { active: true })
    expect(findings).toMatchObject([
      { id: 'writes-need-replicas', node: name() },
      { id: 'canary-failed', node: name(), severity: 'critical' },
    ])
    expect(findings[1]?.evidence).toMatch(/^write at .* NOREPLICAS/)
    for (const finding of findings.slice(0, 1)) await remedy(port, finding)
    expect(await doctor(port, { active: true })).toEqual([])
    await set('min-replicas-to-write', 0)
    for (const index of primaries()) expect(await at(port, cluster, index, 'DBSIZE')).toBe(0)
  })
})

describe('rights', () => {
  it('permission-missing: names each right that would let it see more, and finds no fault in what it cannot see', async () => {
    await everywhere(
      port,
      cluster,
      'ACL',
      'SETUSER',
      'watcher',
      'on',
      '>w',
      '+cluster',
      '+ping',
      '+acl|whoami',
    )
    const watcher = await connect({ ...cluster.connectOptions, username: 'watcher', password: 'w' })
    try {
      const findings = await doctor(watcher)
      expect(new Set(findings.map(({ id, severity }) => `${severity} ${id}`))).toEqual(
        new Set(['info permission-missing']),
      )
      expect(
        findings
          .map(({ evidence }) => String(/lacks (\S+)/.exec(evidence)?.[1]))
          .toSorted((a, b) => a.localeCompare(b)),
      ).toEqual(['+acl|dryrun', '+acl|getuser', '+config|get', '+info', '+latency|doctor', '+scan', '+time'])
      for (const finding of findings) {
        expect(finding.fix).toContain('ACL SETUSER watcher +')
        await remedy(port, finding, cluster.nodes.map(nameOf))
      }
      expect(await doctor(watcher)).toEqual([])
      await at(port, cluster, FIRST, 'SET', keyOn(FIRST), 'x')
      const more = await doctor(watcher)
      expect(more.map(({ evidence }) => /lacks (\S+)/.exec(evidence)?.[1])).toEqual(['+memory|usage'])
      for (const finding of more) await remedy(port, finding, cluster.nodes.map(nameOf))
      const last = await doctor(watcher)
      expect(last.map(({ evidence }) => /lacks (\S+)/.exec(evidence)?.[1])).toEqual(['~*'])
      for (const finding of last) await remedy(port, finding, cluster.nodes.map(nameOf))
      expect(await doctor(watcher)).toEqual([])
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
