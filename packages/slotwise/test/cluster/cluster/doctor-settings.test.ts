import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { doctor, moveSlots } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { cycle, printed, type Remedy, said } from '../../support/cycle.js'
import { asStarted, at, everywhere, idsOf, nameOf } from '../../support/doctor.js'

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

const through = () => port

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
  it('policy-evicts: a policy that evicts is critical for what keeps state, and right for a cache', () =>
    cycle({
      through,
      cause: async () => {
        await set('maxmemory', '1gb')
        for (const policy of ['volatile-ttl', 'allkeys-random', 'allkeys-lru']) {
          await set('maxmemory-policy', policy)
          for (const usage of ['locks', 'sessions', 'queue', 'ratelimit', 'channels', 'boards'] as const) {
            expect(await doctor(port, { usage: [usage] })).toMatchObject([
              { severity: 'critical', affects: [usage] },
            ])
          }
          expect(await doctor(port, { usage: ['cache'] })).toEqual([])
        }
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'critical', node: name() }]),
      remedies: { 'policy-evicts': printed('CONFIG SET maxmemory-policy noeviction') },
    }))

  it('without maxmemory nothing is evicted, whatever the policy', async () => {
    await set('maxmemory-policy', 'allkeys-lru')
    expect(await doctor(port)).toEqual([])
  })

  it('policy-refuses: a cluster that is only a cache had better evict than refuse', () =>
    cycle({
      through,
      options: { usage: ['cache'] },
      cause: async () => {
        await set('maxmemory', '1gb')
        expect(await doctor(port)).toEqual([])
        expect(await doctor(port, { usage: ['cache', 'locks'] })).toEqual([])
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'warning', node: name() }]),
      remedies: { 'policy-refuses': printed('CONFIG SET maxmemory-policy allkeys-lfu') },
    }))

  it('keys-evicted: what is gone stays a finding until it is counted anew', () =>
    cycle({
      through,
      cause: async () => {
        await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 200, 'evicted', 10_000)
        await set('maxmemory-policy', 'allkeys-random')
        await set('maxmemory', Math.round(Number(await info('used_memory')) * 0.8))
        await expect.poll(() => info('evicted_keys')).not.toBe('0')
        await set('maxmemory', 0)
        expect(await doctor(port, { usage: ['cache'] })).toEqual([])
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'critical', node: name() }]),
      remedies: { 'keys-evicted': printed() },
    }))

  it('memory-nearly-full: nine tenths of maxmemory, before writes are refused', () =>
    cycle({
      through,
      cause: async () => {
        await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 200, 'full', 100_000)
        await set('maxmemory', Math.round(Number(await info('used_memory')) / 0.95))
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'warning', node: name() }]),
      remedies: { 'memory-nearly-full': printed('CONFIG SET maxmemory') },
    }))

  it('memory-full: writes are refused, until there is more', () =>
    cycle({
      through,
      cause: async () => {
        await set('maxmemory', '1mb')
        await expect(at(port, cluster, FIRST, 'SET', keyOn(FIRST), 'x')).rejects.toThrow('OOM')
      },
      seen: (findings) => expect(findings).toMatchObject([{ severity: 'critical', node: name() }]),
      remedies: { 'memory-full': printed('CONFIG SET maxmemory') },
    }))

  it('memory-full: writes are refused, until what is not needed is removed', () =>
    cycle({
      through,
      cause: async () => {
        await at(port, cluster, FIRST, 'DEBUG', 'POPULATE', 200, 'full', 100_000)
        await set('maxmemory', Math.round(Number(await info('used_memory')) * 0.9))
      },
      remedies: {
        'memory-full': said('Remove what is not needed', () => at(port, cluster, FIRST, 'FLUSHALL')),
      },
    }))

  it.each([
    ['of plain letters', 'plain'],
    ['whose bytes are no text, with blanks and quotes', Buffer.from('a "big" \\ one\n\xff`', 'latin1')],
  ])('big-key: a key of the sample above the size allowed, by its name %s', async (_case, id) => {
    const key = Buffer.concat([Buffer.from(keyOn(FIRST)), Buffer.from(id)])
    const innocent = `${keyOn(FIRST)}a`
    await cycle({
      through,
      options: { bigKeyBytes: 500_000 },
      cause: async () => {
        await at(port, cluster, FIRST, 'SET', innocent, 'x')
        await port.onNode(name(), ['SETRANGE', key, 1_000_000, 'x'])
        expect(await doctor(port)).toEqual([])
        expect(await doctor(port, { bigKeyBytes: 500_000, sampledKeys: 0 })).toEqual([])
      },
      seen: (findings) => {
        expect(findings).toMatchObject([{ severity: 'warning', node: name() }])
        expect(findings[0]?.evidence).toContain(keyOn(FIRST))
      },
      remedies: { 'big-key': printed('UNLINK') },
    })
    expect(await at(port, cluster, FIRST, 'DBSIZE')).toBe(1)
  })
})

describe('balance', () => {
  /** As many keys of so many bytes in the slot of each of these keys of the first node. */
  async function fill(keys: readonly Key[], count: number, bytes: number): Promise<void> {
    for (const key of keys) {
      const write = `for i = 1, ARGV[1] do redis.call('SETRANGE', KEYS[1] .. i, ARGV[2], 'x') end`
      // All in the slot of the key, whose tag they keep.
      await at(port, cluster, FIRST, 'EVAL', write, 1, key, count, bytes)
    }
  }
  const moveTo = (index: number, slot: number) =>
    moveSlots({ ...cluster.connectOptions, to: cluster.nodes[index]?.id ?? '', slots: [[slot, slot]] })

  it.each([
    ['keys-unbalanced', 'keys', 'info', 900, 1, (fix: Remedy) => ({ 'keys-unbalanced': fix })],
    ['memory-unbalanced', 'data', 'warning', 40, 1e6, (fix: Remedy) => ({ 'memory-unbalanced': fix })],
  ] as const)(
    '%s: one primary with twice as many %s as the mean, once there is much, until slots are moved away',
    async (id, _what, severity, count, bytes, remedies) => {
      let slot = 0
      await cycle({
        through,
        cause: async () => {
          // Once: the port may hear meanwhile that a slot came back that the test before has moved.
          const keys = keysOn(FIRST, 2)
          slot = slotOf(keys[1] as Key)
          await fill(keys, Math.floor(count / 2), bytes)
          expect(await doctor(port)).toEqual([])
          await fill(keys, count, bytes)
        },
        seen: (findings) => expect(findings).toMatchObject([{ id, severity, node: name() }]),
        remedies: remedies(said('move slots', () => moveTo(1, slot))),
      })
      for (const index of primaries()) await at(port, cluster, index, 'FLUSHALL')
      await moveTo(FIRST, slot)
    },
  )
})

describe('persistence', () => {
  const fileIn = async (file: string) => {
    const dir = (await at(port, cluster, FIRST, 'CONFIG', 'GET', 'dir')) as readonly string[]
    return join(dir[1] ?? '', file)
  }

  it.each([
    ['save-failed, as long as it is the last', { 'save-failed': printed('BGSAVE') }],
    [
      'writes-need-disk beside it, where a failed snapshot stops writes',
      { 'writes-need-disk': printed('BGSAVE') },
    ],
  ] as const)('%s, until the disk is well and one is taken', async (_what, remedies) => {
    const stopsWrites = 'writes-need-disk' in remedies
    const blocking = await fileIn('dump.rdb')
    await cycle({
      through,
      cause: async () => {
        if (stopsWrites) await set('save', '3600 100000')
        await rm(blocking, { recursive: true, force: true })
        await mkdir(join(blocking, 'in-the-way'), { recursive: true })
        await at(port, cluster, FIRST, 'BGSAVE')
        await expect.poll(() => info('rdb_last_bgsave_status')).toBe('err')
      },
      seen: async (findings) => {
        expect(idsOf(findings)).toEqual([...(stopsWrites ? ['writes-need-disk'] : []), 'save-failed'])
        const write = at(port, cluster, FIRST, 'SET', keyOn(FIRST), 'x')
        if (stopsWrites) await expect(write).rejects.toThrow('MISCONF')
        else expect(await write).toBe('OK')
        if (stopsWrites) expect(findings[0]?.evidence).toContain('MISCONF')
        // What the log says is in the way.
        await rmdir(join(blocking, 'in-the-way'))
        await rmdir(blocking)
      },
      remedies,
    })
  })

  it('log-failed: the log cannot be rewritten, until it can', async () => {
    const folder = await fileIn('appendonlydir')
    await cycle({
      through,
      cause: async () => {
        await set('appendonly', 'yes')
        await expect.poll(() => info('aof_rewrite_in_progress')).toBe('0')
        await expect.poll(() => info('aof_rewrites')).not.toBe('0')
        await rename(folder, `${folder}-away`)
        await writeFile(folder, '')
        await expect(at(port, cluster, FIRST, 'BGREWRITEAOF')).rejects.toThrow("Can't execute")
      },
      seen: async (findings) => {
        expect(findings).toMatchObject([{ id: 'log-failed', node: name() }])
        await rm(folder)
        await rename(`${folder}-away`, folder)
      },
      remedies: { 'log-failed': printed('BGREWRITEAOF') },
    })
  })
})

/** Keys that live at this node, each in a slot of its own. */
function keysOn(index: number, count: number): readonly Key[] {
  const space = { namespace: '', pattern: 'doctor', name: 'tests' }
  const keys = new Map<number, Key>()
  for (let i = 0; keys.size < count; i++) {
    const key = keyOf(space, [i])
    const slot = slotOf(key)
    if (port.topology().ownerOf(slot)?.port === cluster.nodes[index]?.port) keys.set(slot, key)
  }
  return [...keys.values()]
}

const keyOn = (index: number): Key => keysOn(index, 1)[0] as Key
