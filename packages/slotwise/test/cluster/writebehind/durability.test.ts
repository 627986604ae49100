import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { type Durability, WriteBehind } from '../../../src/writebehind/index.js'
import { Journal, NOWHERE } from '../../../src/writebehind/journal.js'
import { portWith } from '../../support/port-with.js'
import { nameOf } from '../cache/watched-port.js'

let cluster: LocalCluster
let port: RedisPort
beforeAll(async () => {
  cluster = await startLocalCluster({ config: { appendonly: 'yes', appendfsync: 'always' } })
  port = await connect(cluster.connectOptions)
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const opened = (durability: Durability, through = port, written: unknown[] = []) =>
  new WriteBehind<number>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 6,
    flushIntervalMs: 10,
    leaseMs: 1000,
    durability,
    writeBatch: (rows) => Promise.resolve(void written.push(...rows.map(({ id }) => id))),
  })
const everywhere = async (name: string, value: string) => {
  const answers = await port.onEachPrimary(['CONFIG', 'SET', name, value])
  expect(answers.map(({ result }) => result.status)).not.toContain('rejected')
}

it.each<[Durability, Durability]>([
  ['memory', 'memory'],
  ['fsync', 'fsync'],
  [{ replicas: 1 }, { replicas: 1 }],
  [
    { replicas: 1, fsync: true },
    { replicas: 1, fsync: true },
  ],
  [
    { replicas: 2, fsync: true },
    { replicas: 1, fsync: true },
  ],
])('where %j is asked for, %j is reached and said, of changes and counters', async (asked, reached) => {
  const written: unknown[] = []
  await using writes = opened(asked, port, written)
  const options = { deadlineMs: 1000 }
  expect(await writes.write('a', 1, options)).toEqual({ accepted: true, durability: reached })
  expect(await writes.increment('b', 'n', 2, options)).toEqual({
    accepted: true,
    durability: reached,
    value: 2,
  })
  expect(await writes.delete('c', options)).toEqual({ accepted: true, durability: reached })
  if (JSON.stringify(asked) !== JSON.stringify(reached)) return
  writes.start()
  await writes.drain()
  expect(new Set(written)).toEqual(new Set(['a', 'b', 'c']))
})

it('a disk that is asked for is not claimed once a primary no longer syncs, and refused where it never did', async () => {
  await using writes = opened('fsync')
  expect(await writes.write('a', 1)).toMatchObject({ durability: 'fsync' })
  // With `everysec` a server that has WAITAOF still says when it is there.
  await everywhere('appendfsync', 'no')
  try {
    // As found at first; the look of the next minute has not come.
    expect(await writes.write('a', 2)).toMatchObject({ accepted: true, durability: 'memory' })
    const refusal = await opened('fsync')
      .write('a', 1)
      .catch((error: unknown) => error)
    expect.assert(refusal instanceof ConfigurationError)
    expect(refusal.message).toMatch(/^127\.0\.0\.1:\d+ does not sync .*appendfsync no/)
    expect(await opened('memory').write('a', 1)).toMatchObject({ durability: 'memory' })
  } finally {
    await everywhere('appendfsync', 'always')
  }
  expect(await writes.write('a', 3)).toMatchObject({ durability: 'fsync' })
})

it('nothing is written to the database that its primary may come back without', async () => {
  let isSynced = false
  let asked = 0
  const through = portWith(port, {
    writeThenWait: (async (call, options) => {
      const answer = await port.writeThenWait(call, options)
      if (nameOf(call) === 'take') asked++
      return { ...answer, fsynced: answer.fsynced && isSynced }
    }) satisfies RedisPort['writeThenWait'],
  })
  const written: unknown[] = []
  await using writes = opened('fsync', through, written)
  expect(await writes.write('a', 1)).toEqual({ accepted: true, durability: 'memory' })
  writes.start()
  await vi.waitFor(() => expect(asked).toBeGreaterThan(1), { timeout: 10_000 })
  expect(written).toEqual([])
  isSynced = true
  await writes.drain()
  expect(written).toEqual(['a'])
})

it('what is read to be written is waited for as a write is, since a read of its own connection is not waited for', async () => {
  const key = keyOf({ namespace: '', pattern: 'writebehind', name: 'test' }, randomUUID())
  const journal = new Journal(port, key, { lines: 10, bytes: 1000, markMs: 60_000 })
  await journal.accept('a', { kind: 's', bytes: Buffer.from('1') }, undefined)
  const offset = async () => {
    const owner = port.topology().ownerOf(slotOf(key))
    const info = String(await port.onNode(owner?.id ?? '', ['INFO', 'replication']))
    return Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1])
  }
  const grown = async (act: () => Promise<unknown>) => {
    const before = await offset()
    await act()
    return (await offset()) - before
  }
  const count = () => {
    const from = { value: 0, bytes: Buffer.from('{}'), expected: Buffer.from('y') }
    return journal.accept('b', { kind: 'i', field: 'n', by: 1, from }, 'a mark')
  }
  await count()
  // So it is with a change that comes again.
  expect(await grown(count)).toBeGreaterThan(60)
  // Whoever reads first is noted.
  await journal.take(NOWHERE, 10, {})
  // A sign of life of a primary to its replicas takes 14.
  expect(await grown(() => journal.take(NOWHERE, 10, {}))).toBeLessThan(30)
  expect(await grown(() => journal.take(NOWHERE, 10, { replicas: 1 }))).toBeGreaterThan(60)
  expect(await journal.take(NOWHERE, 10, { replicas: 1, fsync: true })).toMatchObject({ isSafe: true })
  expect(await journal.take(NOWHERE, 10, { replicas: 2, deadlineMs: 200 })).toMatchObject({ isSafe: false })
})
