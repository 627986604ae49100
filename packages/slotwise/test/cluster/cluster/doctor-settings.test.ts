import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type DoctorOptions, doctor, type FindingId } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
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

async function info(field: string): Promise<string> {
  const text = String(await at(port, cluster, FIRST, 'INFO', 'everything'))
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? ''
}

const curedByItsFix = (id: FindingId, options?: DoctorOptions) => cured(port, name(), id, options)

it('a cluster that was just started has no finding, for any usage, with active probes or without', async () => {
  expect(await doctor(port)).toEqual([])
  for (const usage of ['locks', 'sessions', 'queue', 'cache', 'ratelimit', 'channels', 'boards'] as const) {
    expect(await doctor(port, { usage: [usage], active: true })).toEqual([])
  }
  for (const index of primaries()) expect(await at(port, cluster, index, 'DBSIZE')).toBe(0)
})

it('a finding is plain data, and names only usages that were asked for and that it affects', async () => {
  await set('maxmemory', '1gb')
  await set('maxmemory-policy', 'allkeys-lru')
  const findings = await doctor(port, { usage: ['cache', 'sessions', 'locks'] })
  expect(findings).toEqual([
    {
      id: 'policy-evicts',
      severity: 'critical',
      node: name(),
      evidence: `${name()} has maxmemory 1073741824 and maxmemory-policy allkeys-lru`,
      affects: ['locks', 'sessions'],
      fix: expect.stringContaining('`CONFIG SET maxmemory-policy noeviction`') as string,
    },
  ])
  expect(JSON.parse(JSON.stringify(findings))).toEqual(findings)
})

describe('memory', () => {
  it('policy-evicts: a policy that evicts is critical for what keeps state, and right for a cache', async () => {
    await set('maxmemory', '1gb')
    for (const policy of ['allkeys-lru', 'volatile-ttl', 'allkeys-random']) {
      await set('maxmemory-policy', policy)
      for (const usage of ['locks', 'sessions', 'queue', 'ratelimit', 'channels', 'boards'] as const) {
        expect(await doctor(port, { usage: [usage] })).toMatchObject([
          { severity: 'critical', affects: [usage] },
        ])
      }
      expect(await doctor(port, { usage: ['cache'] })).toEqual([])
    }
    expect(await curedByItsFix('policy-evicts')).toBe('critical')
  })

  it('without maxmemory nothing is evicted, whatever the policy', async () => {
    await set('maxmemory-policy', 'allkeys-lru')
    expect(await doctor(port)).toEqual([])
  })

  it('policy-refuses: a cluster that is only a cache had better evict than refuse', async () => {
    await set('maxmemory', '1gb')
    expect(await doctor(port)).toEqual([])
    expect(await doctor(port, { usage: ['cache', 'locks'] })).toEqual([])
    expect(await curedByItsFix('policy-refuses', { usage: ['cache'] })).toBe('warning')
  })

  it('keys-evicted: what is gone stays a finding until it is counted anew', async () => {
    await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 200, 'evicted', 10_000)
    await set('maxmemory-policy', 'allkeys-random')
    await set('maxmemory', Math.round(Number(await info('used_memory')) * 0.8))
    await expect.poll(() => info('evicted_keys')).not.toBe('0')
    await set('maxmemory', 0)
    expect(await doctor(port, { usage: ['cache'] })).toEqual([])
    expect(await curedByItsFix('keys-evicted')).toBe('critical')
  })

  it('memory-nearly-full: nine tenths of maxmemory, before writes are refused', async () => {
    await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 200, 'full', 100_000)
    await set('maxmemory', Math.round(Number(await info('used_memory')) / 0.95))
    expect(await curedByItsFix('memory-nearly-full')).toBe('warning')
  })

  it('big-key: a key of the sample above the size allowed, by name', async () => {
    const space = { namespace: '', pattern: 'big', name: 'keys' }
    const key = Array.from({ length: 100 }, (_, i) => keyOf(space, [i])).find(
      (each) => port.topology().ownerOf(slotOf(each))?.port === cluster.nodes[FIRST]?.port,
    ) as Key
    await port.call({ key, command: ['SETRANGE', key, 1_000_000, 'x'] })
    expect(await doctor(port)).toEqual([])
    expect(await doctor(port, { bigKeyBytes: 500_000, sampledKeys: 0 })).toEqual([])
    const [finding] = await doctor(port, { bigKeyBytes: 500_000 })
    expect(finding?.evidence).toContain(key)
    expect(await curedByItsFix('big-key', { bigKeyBytes: 500_000 })).toBe('warning')
  })
})

describe('balance', () => {
  it('keys-unbalanced: one primary with twice as many keys as the mean, once there are many', async () => {
    await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 900, 'few')
    expect(await doctor(port)).toEqual([])
    await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 5000, 'many')
    expect(await doctor(port)).toMatchObject([{ id: 'keys-unbalanced', severity: 'info', node: name() }])
    // As when the others hold as many: ids spread.
    for (const index of primaries().slice(1))
      await at(port, cluster, index, 'DEBUG', 'POPULATE', 5000, 'many')
    expect(await doctor(port)).toEqual([])
  })

  it('memory-unbalanced: one primary with twice as much data as the mean, once it is much', async () => {
    await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 100, 'large', 1_000_000)
    expect(await doctor(port)).toMatchObject([{ id: 'memory-unbalanced', node: name() }])
    await at(port, cluster, FIRST, 'FLUSHALL')
    expect(await doctor(port)).toEqual([])
  })
})

describe('persistence', () => {
  const fileIn = async (file: string) => {
    const dir = (await at(port, cluster, FIRST, 'CONFIG', 'GET', 'dir')) as readonly string[]
    return join(dir[1] ?? '', file)
  }

  it('save-failed, and writes-need-disk where a failed snapshot stops writes', async () => {
    const blocking = await fileIn('dump.rdb')
    await mkdir(join(blocking, 'in-the-way'), { recursive: true })
    await at(port, cluster, FIRST, 'BGSAVE')
    await expect.poll(() => info('rdb_last_bgsave_status')).toBe('err')
    expect(idsOf(await doctor(port))).toEqual(['save-failed'])
    await set('save', '3600 100000')
    const findings = await doctor(port)
    expect(idsOf(findings)).toEqual(['writes-need-disk', 'save-failed'])
    expect(findings[0]?.evidence).toContain('MISCONF')
    const refused = at(port, cluster, FIRST, 'SET', keyOn(FIRST), 'x')
    await expect(refused).rejects.toThrow('MISCONF')
    await rmdir(join(blocking, 'in-the-way'))
    await rmdir(blocking)
    for (const finding of findings.slice(0, 1)) await remedy(port, finding)
    await expect.poll(() => doctor(port)).toEqual([])
  })

  it('log-failed: the log cannot be rewritten, until it can', async () => {
    await set('appendonly', 'yes')
    await expect.poll(() => info('aof_rewrite_in_progress')).toBe('0')
    await expect.poll(() => info('aof_rewrites')).not.toBe('0')
    const folder = await fileIn('appendonlydir')
    await rename(folder, `${folder}-away`)
    await writeFile(folder, '')
    await expect(at(port, cluster, FIRST, 'BGREWRITEAOF')).rejects.toThrow("Can't execute")
    const findings = await doctor(port)
    expect(findings).toMatchObject([{ id: 'log-failed', node: name() }])
    await rm(folder)
    await rename(`${folder}-away`, folder)
    for (const finding of findings) await remedy(port, finding)
    await expect.poll(() => doctor(port)).toEqual([])
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
