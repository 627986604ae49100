import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { WriteBehind, WriteBehindAdmin, type WriteBehindOptions } from '../../../src/writebehind/index.js'
import { partitionKeys } from '../../../src/writebehind/partition-keys.js'
import { portWith } from '../../support/port-with.js'

let cluster: LocalCluster
let port: RedisPort
beforeAll(async () => {
  cluster = await startLocalCluster({
    replicasPerPrimary: 0,
    config: { 'maxmemory-policy': 'noeviction' },
  })
  port = await connect(cluster.connectOptions)
  // Somebody else's data, beside which what connections take is little.
  const calls = Array.from({ length: 300 }, (_, n) => {
    const key = keyOf({ namespace: '', pattern: 'other', name: 'data' }, [n])
    return { key, command: ['SET', key, Buffer.alloc(100_000)] as const }
  })
  await port.pipeline(calls)
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})
afterEach(() => use(undefined))

const stage = (options: Partial<WriteBehindOptions<string>> = {}, through = port) => {
  const table = new Map<string, string>()
  const errors: unknown[] = []
  const writes = new WriteBehind<string>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 3,
    flushIntervalMs: 20,
    leaseMs: 500,
    writeBatch: async (rows) => {
      for (const row of rows) if (!row.deleted) table.set(String(row.id), row.value)
    },
    onError: (error) => void errors.push(error),
    ...options,
  })
  return { writes, table, errors }
}
/** What every primary has is that part of its `maxmemory` from now on. */
async function use(part: number | undefined): Promise<void> {
  for (const { node, result } of await port.onEachPrimary(['INFO', 'memory'])) {
    const text = result.status === 'fulfilled' ? String(result.value) : ''
    const used = Number(/^used_memory:(\d+)/m.exec(text)?.[1])
    const most = part === undefined ? 0 : Math.round(used / part)
    await port.onNode(node.id, ['CONFIG', 'SET', 'maxmemory', most])
  }
}
const ids = Array.from({ length: 12 }, (_, n) => `row ${n}`)
const each = (writes: WriteBehind<string>) => Promise.all(ids.map((id) => writes.write(id, 'text')))

describe('a server whose memory is nearly full', () => {
  it('takes no more changes, which is told as a value, and takes them again once there is room', async () => {
    await use(0.93)
    const { writes } = stage()
    await using _ = writes
    expect(await writes.write('a', 'text')).toEqual({ accepted: false, reason: 'memory', retryAfterMs: 20 })
    expect(await writes.increment('a', 'n', 1)).toMatchObject({ accepted: false, reason: 'memory' })
    expect(await writes.lag()).toMatchObject({ entries: 0 })
    await use(0.5)
    await expect.poll(() => writes.write('a', 'text')).toMatchObject({ accepted: true })
  })

  it('is asked the sooner the less room there is, and by nobody who writes', async () => {
    let looks = 0
    const through = portWith(port, {
      onEachPrimary: ((command, options) => {
        if (command[0] === 'INFO') looks++
        return port.onEachPrimary(command, options)
      }) satisfies RedisPort['onEachPrimary'],
    })
    const { writes } = stage({}, through)
    await using _ = writes
    for (let n = 0; n < 50; n++) await writes.write('a', 'text')
    expect(looks).toBe(1)
    await use(0.93)
    await using late = stage({}, through).writes
    await expect
      .poll(async () => [(await late.write('a', 'text')).accepted, looks >= 4], { timeout: 5000 })
      .toEqual([false, true])
  })

  it('refuses as late as it does by itself where that is asked for', async () => {
    await use(0.95)
    const { writes } = stage({ maxMemoryRatio: 1 })
    await using _ = writes
    expect(await writes.write('a', 'text')).toMatchObject({ accepted: true })
  })
})

describe('a server whose memory is full', () => {
  it.each<[string, Partial<WriteBehindOptions<string>>]>([
    ['at once', {}],
    ['with a disk or replicas asked for', { durability: { replicas: 1 } }],
  ])('refuses as a value, %s, also the first of all', async (_what, options) => {
    const before = stage({ maxMemoryRatio: 1, ...options }).writes
    await before.ready()
    await use(1.05)
    for (const answer of await each(before)) {
      expect(answer).toEqual({ accepted: false, reason: 'memory', retryAfterMs: 20 })
    }
    const first = stage({ maxMemoryRatio: 1, ...options }).writes
    expect(await first.write('a', 'text')).toMatchObject({ accepted: false, reason: 'memory' })
  })

  it('keeps nobody from writing to the database what is accepted already, for as long as it takes', async () => {
    const { writes, table, errors } = stage({ maxMemoryRatio: 1, flushIntervalMs: 1 })
    await using _ = writes
    await each(writes)
    await use(1.05)
    expect(await writes.write('a', 'text')).toMatchObject({ accepted: false, reason: 'memory' })
    writes.start()
    await expect.poll(() => table.size, { timeout: 10_000 }).toBe(ids.length)
    await expect.poll(async () => (await writes.lag()).entries, { timeout: 10_000 }).toBe(0)
    expect(errors.filter((error) => !String(error).includes('OOM'))).toEqual([])
  })

  it('keeps nobody from removing some of the lines that came together, of rows that have changed again', async () => {
    const { writes, table, errors } = stage({ maxMemoryRatio: 1, flushIntervalMs: 1, batchSize: 3 })
    await using _ = writes
    await writes.ready()
    await Promise.all(Array.from({ length: 30 }, (_row, n) => writes.write('hot', `text ${n}`)))
    await use(1.05)
    writes.start()
    await expect.poll(async () => (await writes.lag()).entries, { timeout: 10_000 }).toBe(0)
    expect(table.get('hot')).toBe('text 29')
    expect(errors.filter((error) => !String(error).includes('OOM'))).toEqual([])
  })

  it('keeps nobody from giving up what the database does not take, once, and from writing the others', async () => {
    const table = new Map<string, string>()
    const { writes, errors } = stage({
      maxMemoryRatio: 1,
      flushIntervalMs: 1,
      writeBatch: {
        claim: async () => undefined,
        write: async (rows) => {
          if (rows.some(({ id }) => id === ids[3])) throw new Error('does not fit')
          for (const row of rows) if (!row.deleted) table.set(String(row.id), row.value)
        },
        isAboutRow: () => true,
      },
    })
    await using _ = writes
    await each(writes)
    await use(1.05)
    writes.start()
    await writes.drain()
    expect(table.size).toBe(ids.length - 1)
    const letters = await writes.deadLetters()
    expect(letters).toMatchObject([{ id: ids[3], row: { value: 'text' }, error: 'does not fit' }])
    expect(errors.map(String)).toEqual(['Error: a row was given up: does not fit'])
    // For what is tried again there is no room yet, and it stays what it is.
    expect(await writes.replay()).toBe(0)
    expect(await writes.deadLetters()).toEqual(letters)
    await use(undefined)
    expect(await writes.replay()).toBe(1)
  })

  it('keeps nobody from going on where another process has died', async () => {
    let isDead = false
    const unlessDead = <R>(act: () => Promise<R>): Promise<R> => (isDead ? new Promise(() => {}) : act())
    const mortal = portWith(port, {
      call: ((call, options) => unlessDead(() => port.call(call, options))) satisfies RedisPort['call'],
    })
    const name = randomUUID().slice(0, 8)
    const options = { name, maxMemoryRatio: 1, partitions: 4 }
    const dying = stage(options, mortal).writes
    const { writes, table } = stage(options)
    await using _ = writes
    dying.start()
    writes.start()
    const shares = () => [dying, writes].map((one) => one.stats().partitions)
    await expect.poll(shares, { timeout: 10_000 }).toEqual([2, 2])
    await use(1.05)
    isDead = true
    await expect.poll(() => writes.stats().partitions, { timeout: 10_000 }).toBe(4)
    await use(undefined)
    await each(writes)
    await writes.drain()
    expect(table.size).toBe(ids.length)
  })

  it('keeps nobody from spreading rows and letters over another number of partitions', async () => {
    const name = randomUUID().slice(0, 8)
    const { writes } = stage({
      name,
      maxMemoryRatio: 1,
      writeBatch: {
        claim: async () => undefined,
        write: (rows) => (rows.length > 0 ? Promise.reject(new Error('does not fit')) : Promise.resolve()),
        isAboutRow: () => true,
      },
    })
    await using _ = writes
    await each(writes)
    writes.start()
    await use(1.05)
    const admin = new WriteBehindAdmin(port, { name })
    expect(await admin.changePartitions(5)).toMatchObject({ changed: true })
    await expect.poll(() => writes.stats().partitions, { timeout: 10_000 }).toBe(5)
    expect(await admin.deadLetters()).toHaveLength(ids.length)
  })
})

it('what waits takes no more than is counted and what is said to come on top', async () => {
  const name = randomUUID().slice(0, 8)
  const { writes } = stage({ name, partitions: 1 })
  await using _ = writes
  await writes.ready()
  const id = (n: number) => `${'i'.repeat(20)}${n}`
  const [key] = partitionKeys({ namespace: '', pattern: 'writebehind', name }, 1)
  expect.assert(key !== undefined)
  const used = async () => {
    const command = ['MEMORY', 'USAGE', key, 'SAMPLES', '0'] as const
    return { ...(await writes.lag()), used: Number(await port.call({ key, command })) }
  }
  for (const size of [10, 100, 1000]) {
    for (let n = 0; n < 1000; n++) await writes.write(id(n), 'x'.repeat(size))
    const { used: real, bytes, entries } = await used()
    console.log(`${entries} lines of 1000 rows of ${size} bytes: ${bytes} counted, ${real} used`)
    expect(real).toBeGreaterThan(bytes)
    expect(real).toBeLessThan(bytes + entries * (250 + 3 * 20))
  }
})
