import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { memoryPort } from '../../../src/testing/index.js'
import { type Accepted, WriteBehind, type WriteBehindOptions } from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

interface Post {
  readonly n?: number
}

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** One partition over a table in memory, whose batches take so long. */
function stage(options: Partial<WriteBehindOptions<Post>> = {}, { batchMs = 0, through = port } = {}) {
  const table = new Map<string, Post>()
  const writes = new WriteBehind<Post>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 1,
    flushIntervalMs: 10,
    leaseMs: 1000,
    load: async (id) => table.get(String(id)),
    writeBatch: async (rows) => {
      await sleep(batchMs)
      for (const row of rows) {
        if (row.deleted) table.delete(String(row.id))
        else table.set(String(row.id), row.value)
      }
    },
    ...options,
  })
  return { table, writes }
}

const write = (writes: WriteBehind<Post>, count: number, options = {}): Promise<readonly Accepted[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => writes.write(`row ${n}`, { n }, options)))
/** Until so many lines wait. */
const untilWaiting = (writes: WriteBehind<Post>, entries: number) =>
  vi.waitFor(async () => expect((await writes.lag()).entries).toBe(entries))
const of = (answers: readonly Accepted[], durability: unknown) =>
  answers.filter((one) => one.accepted && one.durability === durability).length

describe("beyond highWater under 'write-through'", () => {
  const THROUGH = { onFull: 'write-through', highWater: 5 } as const

  it('a change resolves once it is in the database, and says so', async () => {
    const { table, writes } = stage({ ...THROUGH, batchSize: 2 }, { batchMs: 20 })
    await using _ = writes
    await write(writes, 5)
    const later = writes.write('late', { n: 1 }).then((answer) => ({ answer, found: table.get('late') }))
    await untilWaiting(writes, 6)
    writes.start()
    expect(await later).toEqual({ answer: { accepted: true, durability: 'database' }, found: { n: 1 } })
  })

  it('callers go as fast as the database, and nobody is refused', async () => {
    const { table, writes } = stage({ ...THROUGH, batchSize: 5 }, { batchMs: 10 })
    await using _ = writes
    writes.start()
    let most = 0
    const caller = async (who: number) => {
      for (let n = 0; n < 20; n++) {
        expect(await writes.write(`${who} ${n}`, { n })).toMatchObject({ accepted: true })
        most = Math.max(most, (await writes.lag()).entries)
      }
    }
    await Promise.all([0, 1, 2, 3].map(caller))
    await writes.drain()
    expect(table.size).toBe(80)
    // Each of four callers may have one beyond it.
    expect(most).toBeLessThanOrEqual(5 + 4)
  })

  it('changes of a row keep their order, and counters are exact', async () => {
    const { table, writes } = stage({ ...THROUGH, highWater: 3, batchSize: 2 })
    await using _ = writes
    writes.start()
    const last = async (id: string) => {
      for (let n = 1; n <= 30; n++) await writes.write(id, { n })
    }
    const count = async () => {
      for (let n = 0; n < 10; n++) await writes.increment('counted', 'n', 1, { idempotencyKey: randomUUID() })
    }
    await Promise.all([last('a'), last('b'), count()])
    await writes.drain()
    expect(Object.fromEntries(table)).toEqual({ a: { n: 30 }, b: { n: 30 }, counted: { n: 10 } })
  })

  it('a deadline that passes first says what was reached, and twice as many are refused, where nobody flushes', async () => {
    const { writes } = stage(THROUGH)
    await using _ = writes
    const answers = await write(writes, 12, { deadlineMs: 300 })
    expect(of(answers, 'memory')).toBe(10)
    expect(answers.filter(({ accepted }) => !accepted)).toHaveLength(2)
    expect(await writes.lag()).toMatchObject({ entries: 10 })
    expect(await writes.read('row 9')).toEqual({ n: 9 })
  })

  it('a row that is given up is not in the database, and the others are', async () => {
    const { table, writes } = stage({
      ...THROUGH,
      highWater: 1,
      writeBatch: async (rows) => {
        if (rows.some(({ id }) => id === 'row 2')) throw new Error('not that one')
        for (const { id } of rows) table.set(String(id), {})
      },
    })
    await using _ = writes
    await writes.write('row 0', {})
    const late = writes.write('row 2', {}, { deadlineMs: 20_000 })
    await untilWaiting(writes, 2)
    writes.start()
    // Nothing is given up while the database takes nothing.
    const other = setInterval(() => void writes.write('other', {}).catch(() => {}), 20)
    expect(await late).toEqual({ accepted: true, durability: 'memory' })
    clearInterval(other)
    expect((await writes.deadLetters()).map(({ id }) => id)).toEqual(['row 2'])
  })

  it('a change that is passed over, since its row has changed when it was refused, is not in the database', async () => {
    let goOn: () => void = () => {}
    const gate = new Promise<void>((open) => (goOn = open))
    const later: Promise<Accepted>[] = []
    const { table, writes } = stage({
      ...THROUGH,
      highWater: 3,
      writeBatch: {
        claim: async () => undefined,
        write: async (rows) => {
          const bad = rows.find(({ id }) => id === 'bad')
          const n = bad === undefined || bad.deleted ? undefined : bad.value.n
          if (n === 1 && later.length === 0) {
            later.push(writes.write('bad', { n: 2 }, { deadlineMs: 20_000 }))
            await expect.poll(() => writes.read('bad')).toEqual({ n: 2 })
          }
          if (n === 1) throw new Error('not that one')
          if (n === 2) await gate
          for (const row of rows) if (!row.deleted) table.set(String(row.id), row.value)
        },
        isAboutRow: () => true,
      },
    })
    await using _ = writes
    await write(writes, 3)
    const early = writes.write('bad', { n: 1 }, { deadlineMs: 20_000 })
    await untilWaiting(writes, 4)
    writes.start()
    // Nothing of the row is there yet, and perhaps nothing ever will be.
    expect(await early).toEqual({ accepted: true, durability: 'memory' })
    expect(table.has('bad')).toBe(false)
    goOn()
    expect(await Promise.all(later)).toEqual([{ accepted: true, durability: 'database' }])
  })

  it('a change that a failover has lost is not taken for the one that got its number', async () => {
    const memory = memoryPort()
    const { table, writes } = stage({ ...THROUGH, highWater: 1 }, { through: memory })
    await using _ = writes
    await writes.write('a', { n: 1 })
    memory.redis.holdReplication()
    const lost = writes.write('lost', { n: 2 }, { deadlineMs: 20_000 })
    await expect.poll(() => writes.read('lost')).toEqual({ n: 2 })
    memory.redis.failOver()
    const other = writes.write('other', { n: 3 }, { deadlineMs: 20_000 })
    writes.start()
    expect(await lost).toEqual({ accepted: true, durability: 'memory' })
    expect(await other).toEqual({ accepted: true, durability: 'database' })
    expect(Object.fromEntries(table)).toEqual({ a: { n: 1 }, other: { n: 3 } })
  })

  it('who gives up waits no longer', async () => {
    const { writes } = stage({ ...THROUGH, highWater: 1 })
    await using _ = writes
    await writes.write('a', {})
    const reason = new Error('enough')
    const over = new AbortController()
    const waiting = writes.write('b', {}, { signal: over.signal })
    await expect.poll(() => writes.read('b')).toEqual({})
    over.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  it('one question is asked for all who wait', async () => {
    let questions = 0
    const through = portWith(port, {
      call: ((call, options) => {
        if ('command' in call && call.command[0] === 'HMGET' && call.command[2] === 'f') questions++
        return port.call(call, options)
      }) satisfies RedisPort['call'],
    })
    const { writes } = stage({ ...THROUGH, highWater: 50 }, { through })
    await using _ = writes
    const startedAt = performance.now()
    const answers = await write(writes, 100, { deadlineMs: 500 })
    expect(of(answers, 'memory')).toBe(100)
    expect(questions).toBeGreaterThan(0)
    expect(questions).toBeLessThanOrEqual((performance.now() - startedAt) / 25 + 1)
    const before = questions
    await sleep(60)
    expect(questions).toBe(before)
  })
})

describe('who is refused', () => {
  const refused = (answer: Accepted) => {
    expect.assert(!answer.accepted)
    return answer.retryAfterMs
  }

  it('is told the interval while nothing was ever flushed', async () => {
    const { writes } = stage({ highWater: 1, flushIntervalMs: 4321 })
    await using _ = writes
    await writes.write('a', {})
    expect(refused(await writes.write('b', {}))).toBe(4321)
  })

  it('is told by the pace of those who flush when there is room, and there is then', async () => {
    const { writes } = stage({ highWater: 10, batchSize: 2, flushIntervalMs: 60_000 }, { batchMs: 150 })
    await using _ = writes
    await write(writes, 10)
    writes.start()
    const told: number[] = []
    let hits = 0
    while (told.length < 12) {
      const answer = await writes.write('more', {})
      if (answer.accepted) continue
      const ms = answer.retryAfterMs
      await sleep(ms === 60_000 ? 20 : ms + 20)
      // Nothing was flushed before.
      if (ms === 60_000) continue
      told.push(ms)
      if ((await writes.write('again', {})).accepted) hits++
    }
    for (const ms of told) expect(ms).toBeLessThan(2000)
    expect(hits).toBeGreaterThanOrEqual(6)
  })
})

it('a change larger than all that may wait has its turn once nothing does, and none beside others', async () => {
  const { table, writes } = stage({ maxBytes: 200 })
  await using _ = writes
  await writes.write('a', {})
  const large = { text: 'x'.repeat(500) } as Post
  expect(await writes.write('b', large)).toMatchObject({ accepted: false, reason: 'full' })
  expect((await writes.lag()).bytes).toBeLessThanOrEqual(200)
  writes.start()
  await writes.drain()
  expect(await writes.write('b', large)).toMatchObject({ accepted: true })
  await writes.drain()
  expect(table.get('b')).toEqual(large)
})

it.each([
  ['onFull', { onFull: 'wait' as never }],
  ['maxMemoryRatio', { maxMemoryRatio: 0 }],
  ['maxMemoryRatio', { maxMemoryRatio: 1.1 }],
  ['durability', { durability: 'disk' as never }],
  ['durability.fsync', { durability: { replicas: 1, fsync: 'yes' as never } }],
])('a setting that makes no sense is refused by name: %s %o', (name, options) => {
  expect(() => stage(options)).toThrow(name)
})
