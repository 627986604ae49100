import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { type BatchSize, type Row, WriteBehind } from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { heardOn } from '../../support/events.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A database that takes so long for each row, and has seen so many batches. */
function database() {
  const rows = new Map<string, unknown>()
  const state = { msEach: 0, batches: 0, isAway: false }
  const write = async (batch: readonly Row<number>[]) => {
    state.batches++
    if (state.isAway) throw new Error('away')
    if (state.msEach > 0) await sleep(batch.length * state.msEach)
    for (const row of batch) if (!row.deleted) rows.set(String(row.id), row.value)
  }
  return { rows, state, write }
}

function opened(batchSize: number | BatchSize, write: ReturnType<typeof database>['write']) {
  const name = `t${randomUUID().slice(0, 8)}`
  const writes = new WriteBehind<number>(port, {
    name,
    partitions: 1,
    flushIntervalMs: 5,
    batchSize,
    writeBatch: write,
  })
  let next = 0
  const fill = async (count: number) => {
    await Promise.all(Array.from({ length: count }, () => writes.write(`${next++}`, next)))
  }
  const flushes = heardOn('slotwise:writebehind:flush')
  const written = () => flushes.filter((one) => one.name === name && one.kind === 'written')
  return { writes, fill, written }
}

describe('a batch', () => {
  it('has as many changes as the database takes in its time: fewer when it is slow, more when it is quick again', async () => {
    const { rows, state, write } = database()
    const { writes, fill, written } = opened({ min: 2, max: 400, targetMs: 100 }, write)
    await using closing = writes
    state.msEach = 5
    await fill(300)
    closing.start()
    await closing.drain()
    const slow = written()
    // It began with 100, which take five times as long as they should.
    expect(slow[0]?.lines).toBe(100)
    const settled = slow.slice(4, -1)
    expect(settled.length).toBeGreaterThan(4)
    expect(Math.max(...settled.map(({ lines }) => lines))).toBeLessThanOrEqual(20)
    const times = settled.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b)
    // In the middle: timers of a busy machine are late.
    expect(times[Math.floor(times.length / 2)]).toBeLessThan(130)
    expect(closing.stats().batchSize).toBeLessThan(30)
    state.msEach = 0
    await fill(2000)
    await closing.drain()
    expect(Math.max(...written().map(({ lines }) => lines))).toBe(400)
    expect(closing.stats().batchSize).toBe(400)
    expect(rows.size).toBe(2300)
  })

  it('drains what has piled up in fewer transactions than one of a fixed size', async () => {
    const counts: number[] = []
    for (const batchSize of [100, { min: 10, max: 1000 }]) {
      const { rows, state, write } = database()
      const { writes, fill } = opened(batchSize, write)
      await using closing = writes
      await fill(4000)
      closing.start()
      await closing.drain()
      expect(rows.size).toBe(4000)
      counts.push(state.batches)
    }
    const [fixed = 0, adapting = 0] = counts
    expect(fixed).toBeGreaterThanOrEqual(40)
    expect(adapting).toBeLessThan(fixed / 3)
  })

  it('is halved by failures, down to the least, and back soon after', async () => {
    const { state, write } = database()
    const { writes, fill } = opened({ min: 10, max: 200 }, write)
    await using closing = writes
    state.isAway = true
    await fill(400)
    closing.start()
    await expect.poll(() => closing.stats().batchSize, { interval: 5, timeout: 10_000 }).toBe(10)
    state.isAway = false
    await closing.drain()
    expect(closing.stats().batchSize).toBeGreaterThan(40)
  })

  it('still has ten changes of a row as one', async () => {
    const { rows, write } = database()
    const { writes, written } = opened({ min: 1, max: 1000 }, write)
    await using closing = writes
    for (let n = 0; n < 50; n++) await closing.write(`${n % 5}`, n)
    closing.start()
    await closing.drain()
    expect(written().map(({ lines, rows: those }) => [lines, those])).toEqual([[50, 5]])
    expect(rows.size).toBe(5)
  })
})
