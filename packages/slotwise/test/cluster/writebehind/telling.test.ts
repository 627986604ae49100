import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { BatchFencedError } from '../../../src/errors.js'
import { type MetricName, prometheusName } from '../../../src/metrics.js'
import { collect } from '../../../src/prometheus/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import {
  type Claim,
  type Row,
  WriteBehind,
  type WriteBehindOptions,
  type Writer,
} from '../../../src/writebehind/index.js'
import { partitionKeys } from '../../../src/writebehind/partition-keys.js'
import { anyPort } from '../../support/any-port.js'
import { heardOn } from '../../support/events.js'
import { parseExposition } from '../../support/exposition.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A database with a position in memory, that is away or takes some rows only when it is told so. */
function database() {
  const state = {
    isAway: false,
    isFenced: false,
    refused: new Set<string>(),
    epoch: 0n,
    position: undefined as Claim['position'] | undefined,
  }
  const writer: Writer<number> = {
    claim: async () => {
      state.epoch++
      return state.position && { epoch: state.epoch, position: state.position }
    },
    write: async (rows: readonly Row<number>[], { to }) => {
      if (state.isAway) throw new Error('away')
      if (state.isFenced) throw new BatchFencedError('claimed by another')
      if (rows.some(({ id }) => state.refused.has(String(id)))) throw new TypeError('does not fit')
      state.position = to
    },
    isAboutRow: (error) => error instanceof TypeError,
  }
  return { state, writer }
}

/** A write-behind of which everything is measured. */
function watched(options: Partial<WriteBehindOptions<number>> = {}) {
  const { state, writer } = database()
  const name = `t${randomUUID().slice(0, 8)}`
  const heard: unknown[] = []
  const writes = new WriteBehind<number>(port, {
    name,
    partitions: 1,
    flushIntervalMs: 5,
    writeBatch: writer,
    onError: (error) => heard.push(error),
    ...options,
  })
  const register = new Registry()
  const collecting = collect({ register, writeBehinds: { [name]: writes } })
  onTestFinished(() => collecting.close())
  const value = async (metric: MetricName, labels: Readonly<Record<string, string>> = {}, part = '') => {
    const { series } = parseExposition(await register.metrics())
    const wanted = Object.entries({ name, ...labels })
    return series
      .filter((one) => one.name === prometheusName(metric) + part)
      .filter((one) => wanted.every(([label, text]) => one.labels[label] === text))
      .reduce((total, one) => total + one.value, 0)
  }
  const count = (metric: MetricName, labels: Readonly<Record<string, string>> = {}) =>
    value(metric, labels, '_count')
  return { state, name, writes, heard, value, count }
}
const POLL = { interval: 5, timeout: 8000 }

describe('what a write-behind does is measured', () => {
  it('changes, by what became of them', async () => {
    const { writes, count } = watched({ highWater: 3 })
    await using closing = writes
    const changes = (kind: string, outcome: string) =>
      count('slotwise.writebehind.change.duration', { kind, outcome })
    await closing.write('a', 1)
    await closing.delete('a')
    await closing.increment('b', 'n', 1)
    expect(await closing.write('c', 1)).toMatchObject({ accepted: false })
    await expect(closing.increment('c', 'n', 0.5)).rejects.toThrow(/whole number/)
    await expect(closing.write('', 1)).rejects.toThrow(/must not be empty/)
    const gone = AbortSignal.abort()
    await expect(closing.write('c', 1, { signal: gone })).rejects.toThrow(/aborted/)
    expect({
      write: [
        await changes('write', 'accepted'),
        await changes('write', 'full'),
        await changes('write', 'invalid'),
      ],
      delete: await changes('delete', 'accepted'),
      increment: [await changes('increment', 'accepted'), await changes('increment', 'invalid')],
      aborted: await changes('write', 'aborted'),
    }).toEqual({ write: [1, 1, 1], delete: 1, increment: [1, 1], aborted: 1 })
  })

  it('batches: how many changes, rows, how long, and for how long the first had waited', async () => {
    const { writes, value, count } = watched()
    await using closing = writes
    for (let n = 0; n < 10; n++) await closing.write(`${n % 2}`, n)
    closing.start()
    await closing.drain()
    await expect
      .poll(() => count('slotwise.writebehind.flush.duration', { outcome: 'written' }), POLL)
      .toBe(1)
    expect(await value('slotwise.writebehind.flush.lines', {}, '_sum')).toBe(10)
    expect(await value('slotwise.writebehind.flush.rows')).toBe(2)
    expect(await count('slotwise.writebehind.flush.delay')).toBe(1)
    expect(await count('slotwise.writebehind.flush.duration', { outcome: 'failed' })).toBe(0)
  })

  it('failures, and what waits meanwhile: how much, and for how long', async () => {
    const { state, writes, value, count } = watched()
    await using closing = writes
    state.isAway = true
    for (let n = 0; n < 10; n++) await closing.write(`${n}`, n)
    expect(await value('slotwise.writebehind.lag')).toBe(0)
    closing.start()
    await expect.poll(() => value('slotwise.writebehind.lag'), POLL).toBe(10)
    await expect
      .poll(() => count('slotwise.writebehind.flush.duration', { outcome: 'failed' }), POLL)
      .toBeGreaterThan(1)
    expect(await value('slotwise.writebehind.partitions')).toBe(1)
    expect(await value('slotwise.writebehind.lag.size')).toBe((await closing.lag()).bytes)
    const age = await value('slotwise.writebehind.lag.age')
    expect(age).toBeGreaterThan(0)
    await expect.poll(() => value('slotwise.writebehind.lag.age'), POLL).toBeGreaterThan(age + 0.1)
    expect(await value('slotwise.writebehind.batch.limit')).toBeLessThan(100)
    state.isAway = false
    await closing.drain()
    await expect.poll(() => value('slotwise.writebehind.lag'), POLL).toBe(0)
    expect(await value('slotwise.writebehind.lag.size')).toBe(0)
    expect(await value('slotwise.writebehind.lag.age')).toBe(0)
    await closing.close()
    expect(await value('slotwise.writebehind.partitions')).toBe(0)
  })

  it('rows that are given up, tried again and forgotten, and how many there are', async () => {
    const { state, writes, value } = watched()
    await using closing = writes
    const letters = (kind: string) => value('slotwise.writebehind.letters', { kind })
    state.refused.add('a').add('b').add('c')
    for (const id of ['a', 'b', 'c', 'd']) await closing.write(id, 1)
    closing.start()
    await closing.drain()
    await expect.poll(() => value('slotwise.writebehind.dead_letters'), POLL).toBe(3)
    expect(await letters('given-up')).toBe(3)
    state.refused.delete('a')
    expect(await closing.replay(['a'])).toBe(1)
    await closing.drain()
    expect(await closing.discard(['b'])).toBe(1)
    expect([await letters('replayed'), await letters('discarded')]).toEqual([1, 1])
    // The next look tells.
    await expect.poll(() => value('slotwise.writebehind.dead_letters'), POLL).toBe(1)
    expect((await closing.deadLetters()).map(({ id }) => id)).toEqual(['c'])
  })

  it('a journal that does not go on from what the database has', async () => {
    const { name, writes, value, heard } = watched()
    await using closing = writes
    closing.start()
    await closing.write('a', 1)
    await closing.drain()
    expect(await value('slotwise.writebehind.rewinds')).toBe(0)
    // As after a failover to a replica that was behind: the same number, and another line.
    const [key] = partitionKeys({ namespace: port.namespace, pattern: 'writebehind', name }, 1)
    if (key === undefined) throw new Error('there is no partition')
    const flushes = heardOn('slotwise:writebehind:flush')
    await port.call({ key, command: ['DEL', key] })
    await closing.write('a', 2)
    await closing.drain()
    await expect.poll(() => value('slotwise.writebehind.rewinds'), POLL).toBeGreaterThan(0)
    expect(flushes).toContainEqual(expect.objectContaining({ kind: 'rewound', partition: 0 }))
    expect(heard.map(String)).toContainEqual(
      expect.stringContaining('did not go on from what the database had'),
    )
  })

  it('that another process has claimed a partition', async () => {
    const { state, writes, count } = watched({ leaseMs: 1000 })
    await using closing = writes
    const fenced = () => count('slotwise.writebehind.flush.duration', { outcome: 'fenced' })
    closing.start()
    await closing.write('a', 1)
    await closing.drain()
    expect(await fenced()).toBe(0)
    state.isFenced = true
    await closing.write('a', 2)
    await expect.poll(fenced, POLL).toBeGreaterThan(0)
    state.isFenced = false
    await closing.drain()
  })
})
