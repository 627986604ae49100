import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import {
  type Row,
  WriteBehind,
  type WriteBehindOptions,
  type Writer,
} from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { nameOf } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A database that does not take some rows. */
function database() {
  const rows = new Map<string, unknown>()
  const state = { refused: new Set<string>(), isAway: false, calls: 0 }
  const write = async (batch: readonly Row<string>[]) => {
    state.calls++
    if (state.isAway) throw new Error('away')
    const bad = batch.find(({ id }) => state.refused.has(String(id)))
    // Not everybody rejects with errors.
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors
    if (bad !== undefined) await Promise.reject(`${String(bad.id)} does not fit`)
    for (const row of batch) {
      if (row.deleted) rows.delete(String(row.id))
      else rows.set(String(row.id), row.value)
    }
  }
  return { rows, state, write }
}

/** With errors that say of themselves that they are about a row. */
const telling = (write: Writer<string>['write']): Writer<string> => ({
  claim: async () => undefined,
  write,
  isAboutRow: (error) => typeof error === 'string',
})

function opened(
  options: Partial<WriteBehindOptions<string>> & Pick<WriteBehindOptions<string>, 'writeBatch'>,
  through = port,
) {
  const heard: unknown[] = []
  const writes = new WriteBehind<string>(through, {
    name: `t${randomUUID().slice(0, 8)}`,
    partitions: 1,
    flushIntervalMs: 5,
    onError: (error) => heard.push(error),
    ...options,
  })
  return { writes, heard }
}
const POLL = { interval: 5, timeout: 8000 }

describe('rows that a database does not take', () => {
  it.each([
    ['as its errors say', true],
    ['as others that are taken show', false],
  ])('are given up, and the rest goes on: %s', async (_, tells) => {
    const { rows, state, write } = database()
    const writer = tells ? telling(write) : write
    const { writes, heard } = opened({ writeBatch: writer })
    await using closing = writes
    state.refused.add('7').add('13')
    for (let n = 0; n < 20; n++) await closing.write(`${n}`, `value ${n}`)
    closing.start()
    await closing.drain()
    expect(rows.size).toBe(18)
    const letters = await closing.deadLetters()
    expect(letters.map(({ id, error }) => `${String(id)}: ${error}`).toSorted()).toEqual([
      '13: 13 does not fit',
      '7: 7 does not fit',
    ])
    expect(heard.map(String)).toContainEqual(expect.stringContaining('given up: 7 does not fit'))
    // Two of twenty, and twenty are not tried one by one.
    if (tells) expect(state.calls).toBeLessThan(25)
  })

  it('are kept with the beginning of an error that is as long as what it is about', async () => {
    const write = async (batch: readonly Row<string>[]) => {
      if (batch.length > 0) throw new Error(`does not fit: ${'x'.repeat(1_000_000)}`)
    }
    const { writes } = opened({ writeBatch: { ...telling(write), isAboutRow: () => true } })
    await using closing = writes
    await closing.write('a', 'x')
    closing.start()
    await closing.drain()
    const [letter] = await closing.deadLetters()
    expect(letter?.error).toBe(`does not fit: ${'x'.repeat(986)}`)
  })

  it('are none while it takes nothing at all', async () => {
    const { rows, state, write } = database()
    const { writes } = opened({ writeBatch: write })
    await using closing = writes
    state.isAway = true
    for (let n = 0; n < 3; n++) await closing.write(`${n}`, 'x')
    closing.start()
    await expect.poll(() => state.calls, { ...POLL, timeout: 20_000 }).toBeGreaterThan(12)
    expect(await closing.deadLetters()).toEqual([])
    expect(await closing.lag()).toMatchObject({ entries: 3 })
    state.isAway = false
    await closing.drain()
    expect(rows.size).toBe(3)
  }, 30_000)

  it('are tried again, forgotten, or written by what comes after them', async () => {
    const { rows, state, write } = database()
    const writer = telling(write)
    const { writes } = opened({ writeBatch: writer })
    await using closing = writes
    for (const id of ['a', 'b', 'c']) {
      state.refused.add(id)
      await closing.write(id, 'first')
    }
    closing.start()
    await closing.drain()
    expect(await closing.deadLetters()).toHaveLength(3)
    // Still refused: the letter is there again.
    expect(await closing.replay(['a'])).toBe(1)
    await closing.drain()
    expect(await closing.deadLetters()).toHaveLength(3)
    state.refused.clear()
    expect(await closing.discard(['b'])).toBe(1)
    await closing.write('c', 'second')
    await closing.drain()
    expect((await closing.deadLetters()).map(({ id }) => id)).toEqual(['a'])
    expect(await closing.replay()).toBe(1)
    await closing.drain()
    expect(await closing.deadLetters()).toEqual([])
    expect(Object.fromEntries(rows)).toEqual({ a: 'first', c: 'second' })
  })
})

it('are tried again some at a time, however many there are', async () => {
  let [underWay, most] = [0, 0]
  const through = portWith(port, {
    call: (async (call, options) => {
      if (nameOf(call) !== 'accept' || !('args' in call)) return await port.call(call, options)
      // Of the changes of one script each has a tag of eight bytes.
      const changes = String(call.args[4]).length / 4
      most = Math.max(most, (underWay += changes))
      return await port.call(call, options).finally(() => (underWay -= changes))
    }) satisfies RedisPort['call'],
  })
  const { state, write } = database()
  const { writes } = opened({ writeBatch: telling(write) }, through)
  await using closing = writes
  const ids = Array.from({ length: 250 }, (_, n) => `${n}`)
  for (const id of ids) {
    state.refused.add(id)
    await closing.write(id, 'x')
  }
  closing.start()
  await closing.drain()
  expect(await closing.replay()).toBe(250)
  expect(most).toBe(100)
})

it('are looked for, tried again and forgotten with one signal for all partitions, of which nobody is warned', async () => {
  const { state, write } = database()
  const { writes } = opened({ writeBatch: telling(write), partitions: 32, leaseMs: 1000 })
  await using closing = writes
  const ids = Array.from({ length: 120 }, (_, n) => `${n}`)
  for (const id of ids) {
    state.refused.add(id)
    await closing.write(id, 'x')
  }
  closing.start()
  await closing.drain()
  const warnings: string[] = []
  const hear = ({ name, message }: Error) => warnings.push(`${name}: ${message}`)
  process.on('warning', hear)
  // Each has one of its own: a signal warns once.
  const options = () => ({ signal: new AbortController().signal })
  expect(await closing.deadLetters(options())).toHaveLength(120)
  expect(await closing.replay(undefined, options())).toBe(120)
  await closing.drain(options())
  expect(await closing.discard(undefined, options())).toBe(120)
  await closing.lag(options())
  // A warning is told a turn later.
  await new Promise((resolve) => setImmediate(resolve))
  process.removeListener('warning', hear)
  expect(warnings).toEqual([])
})

it('of one tenant are nothing to another', async () => {
  const { state, write } = database()
  const writer = telling(write)
  const { writes } = opened({ writeBatch: writer })
  await using closing = writes
  const [a, b] = [closing.forTenant('a'), closing.forTenant('b')]
  state.refused.add('7')
  await a.write('7', 'of a')
  await b.write('7', 'of b')
  closing.start()
  await closing.drain()
  expect(await closing.deadLetters()).toHaveLength(2)
  expect(await a.deadLetters()).toMatchObject([{ id: '7', tenant: 'a' }])
  expect(await a.replay()).toBe(1)
  await closing.drain()
  expect(await a.discard()).toBe(1)
  expect(await closing.deadLetters()).toMatchObject([{ tenant: 'b' }])
})

it.each(['claim', 'write'] as const)(
  'a database that never answers a %s is given up after its time, and tried again',
  async (what) => {
    const { rows, write } = database()
    const calls = { claim: 0, write: 0 }
    const answered = <R>(name: typeof what, act: () => Promise<R>) =>
      ++calls[name] === 1 && name === what ? new Promise<R>(() => {}) : act()
    const writer = {
      claim: () => answered('claim', async () => undefined),
      write: (batch: readonly Row<string>[]) => answered('write', () => write(batch)),
    }
    const { writes, heard } = opened({ writeBatch: writer, writeTimeoutMs: 100 })
    await using closing = writes
    await closing.write('a', 'x')
    closing.start()
    await closing.drain()
    expect(rows.get('a')).toBe('x')
    expect(heard).toContainEqual(expect.objectContaining({ code: 'BATCH_TIMEOUT' }))
  },
)
