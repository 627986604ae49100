import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import {
  type Answer,
  type Change,
  Journal,
  NOWHERE,
  type Position,
  type State,
} from '../../../src/writebehind/journal.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { portWith } from '../../support/port-with.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const journal = (bounds = {}) =>
  new Journal(
    port,
    keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'test' }, [randomUUID()]),
    { lines: 1000, bytes: 1_000_000, markMs: 60_000, ...bounds },
  )
const set = (text: string): Change => ({ kind: 's', bytes: Buffer.from(text) })

/** What a port without anything to flush keeps of counters, as its users do: they tell what they were, once asked. */
async function increment(
  of: Journal,
  name: string,
  by: number,
  base: string,
  mark?: string,
): Promise<Answer> {
  let from: Extract<Change, { kind: 'i' }>['from']
  for (;;) {
    const answer = await of.accept(name, { kind: 'i', field: 'n', by, from }, mark, {})
    if (answer.state !== 'unknown') return answer
    const { waiting, expected } = answer
    const bytes = waiting === undefined ? Buffer.from(base) : (waiting.bytes ?? Buffer.from('{}'))
    from = { bytes, value: (JSON.parse(bytes.toString()) as { n?: number }).n ?? 0, expected }
  }
}

const shown = (waiting: State | undefined) =>
  waiting && { text: waiting.bytes?.toString(), counters: Object.fromEntries(waiting.counters) }

describe('a journal', () => {
  it('has what was accepted, and hands it out by its last state', async () => {
    const own = journal()
    await own.accept('a', set('1'), undefined, {})
    await own.accept('b', set('2'), undefined, {})
    await own.accept('a', { kind: 'd' }, undefined, {})
    expect(shown((await own.look('a', {})).waiting)).toEqual({ text: undefined, counters: {} })
    const taken = await own.take(NOWHERE, 10, {})
    expect(taken).toMatchObject({ goesOn: true, from: 1, to: { written: { number: 3 } } })
    expect(taken.rows.map(({ name, waiting }) => [name, shown(waiting)?.text])).toEqual([
      ['a', undefined],
      ['b', '2'],
    ])
  })

  it('keeps the state of a row that has changed since what was written of it', async () => {
    const own = journal()
    await own.accept('a', set('1'), undefined, {})
    await own.accept('b', set('1'), undefined, {})
    const { to } = await own.take(NOWHERE, 10, {})
    await own.accept('a', set('2'), undefined, {})
    expect(await own.trim(to, {})).toBe(2)
    expect(shown((await own.look('a', {})).waiting)?.text).toBe('2')
    expect((await own.look('b', {})).waiting).toBeUndefined()
    const next = await own.take(to, 10, {})
    expect(next).toMatchObject({ goesOn: true, from: 3, to: { written: { number: 3 } } })
    expect(await own.trim(next.to, {})).toBe(1)
    expect((await own.look('a', {})).waiting).toBeUndefined()
    expect(await own.take(next.to, 10, {})).toMatchObject({ goesOn: true, rows: [], to: next.to })
  })

  it('refuses what it has no room for, and changes nothing', async () => {
    const few = journal({ lines: 2 })
    const small = journal({ bytes: 10 })
    for (const one of [few, small]) {
      let answer: Answer
      let accepted = 0
      do {
        answer = await one.accept('a', set('12345'), undefined, {})
        if (answer.state === 'accepted') accepted++
      } while (answer.state === 'accepted')
      expect(answer.state).toBe('full')
      expect(await one.take(NOWHERE, 10, {})).toMatchObject({ to: { written: { number: accepted } } })
      await one.trim((await one.take(NOWHERE, 10, {})).to, {})
      expect(await one.accept('a', set('1'), undefined, {})).toMatchObject({ state: 'accepted' })
    }
  })

  it('counts every increment once, of many callers at once and of one that comes again', async () => {
    const own = journal()
    const marks = Array.from({ length: 50 }, () => randomUUID())
    await Promise.all([...marks, ...marks].map((mark) => increment(own, 'a', 1, '{"n":5}', mark)))
    expect(shown((await own.look('a', {})).waiting)).toEqual({ text: '{"n":5}', counters: { n: 55 } })
  })

  it('begins a counter at what the row was, and not at what it was before something came and went', async () => {
    const own = journal()
    const asked = await own.accept('a', { kind: 'i', field: 'n', by: 1 }, undefined, {})
    if (asked.state !== 'unknown') throw new Error(asked.state)
    // Somebody else counts to 1, and that is written and gone.
    await increment(own, 'a', 1, '{"n":0}')
    await own.trim((await own.take(NOWHERE, 10, {})).to, {})
    const from = { value: 0, bytes: Buffer.from('{"n":0}'), expected: asked.expected }
    expect(await own.accept('a', { kind: 'i', field: 'n', by: 1, from }, undefined, {})).toMatchObject({
      state: 'unknown',
    })
  })

  it('counts no further than integers are exact', async () => {
    const own = journal()
    await own.accept('a', set(JSON.stringify({ n: Number.MAX_SAFE_INTEGER })), undefined, {})
    expect(await increment(own, 'a', 1, '{}')).toEqual({ state: 'out of range' })
    expect(await increment(own, 'a', -1, '{}')).toMatchObject({ value: Number.MAX_SAFE_INTEGER - 1 })
  })

  it('forgets the counters of a row that is set or deleted', async () => {
    const own = journal()
    await increment(own, 'a', 7, '{}')
    await own.accept('a', set('{"n":1}'), undefined, {})
    expect(shown((await own.look('a', {})).waiting)).toEqual({ text: '{"n":1}', counters: {} })
    await increment(own, 'a', 1, '{}')
    expect(shown((await own.look('a', {})).waiting)?.counters).toEqual({ n: 2 })
  })

  it('leaves nothing behind of what is written, but where it stands', async () => {
    const own = journal()
    for (let n = 0; n < 50; n++) {
      await own.accept(`row ${n % 7}`, set(JSON.stringify({ text: 'x'.repeat(n) })), undefined, {})
      await increment(own, `row ${n % 5}`, 1, '{}')
    }
    await own.trim((await own.take(NOWHERE, 1000, {})).to, {})
    const left = await port.call({ key: own.key, command: ['HGETALL', own.key], repeat: 'safe' })
    const fields = (left as readonly unknown[]).map(String).filter((_, i) => i % 2 === 0)
    expect(fields.toSorted()).toEqual(['b', 'f', 'l', 'o', 't', 'y'])
    expect(await port.call({ key: own.key, command: ['HGET', own.key, 'b'], repeat: 'safe' })).toBe('0')
  })
})

/** Everything that the server has of it, to be brought back later. */
async function saved({ key }: Journal): Promise<() => Promise<void>> {
  const all = await port.call({ key, command: ['HGETALL', key], repeat: 'safe' }, { binary: true })
  return async () => {
    await port.call({ key, command: ['DEL', key], repeat: 'safe' })
    const parts = all as readonly Buffer[]
    if (parts.length > 0) await port.call({ key, command: ['HSET', key, ...parts], repeat: 'safe' })
  }
}

describe('after a failover that forgets the last lines', () => {
  const texts = async (own: Journal, position: Position) => {
    const { goesOn, rows } = await own.take(position, 100, {})
    return { goesOn, rows: rows.map(({ name, waiting }) => `${name}=${shown(waiting)?.text ?? ''}`) }
  }

  it('the same numbers given out again are not taken for what was written under them', async () => {
    const own = journal()
    for (let n = 0; n < 5; n++) await own.accept(`old ${n}`, set('x'), undefined, {})
    const bringBack = await saved(own)
    for (let n = 5; n < 10; n++) await own.accept(`lost ${n}`, set('x'), undefined, {})
    // They are in the database, and nobody knows of them here.
    const { to } = await own.take(NOWHERE, 100, {})
    await bringBack()
    for (let n = 5; n < 10; n++) await own.accept(`new ${n}`, set('y'), undefined, {})
    const again = await texts(own, to)
    expect(again.goesOn).toBe(false)
    expect(again.rows).toEqual(
      [0, 1, 2, 3, 4].map((n) => `old ${n}=x`).concat([5, 6, 7, 8, 9].map((n) => `new ${n}=y`)),
    )
    // Nor is it trimmed by whoever wrote the lines that are lost.
    expect(await own.trim(to, {})).toBe(0)
  })

  it('what was written of a row before its line is written again where that line is lost', async () => {
    const own = journal()
    await own.accept('a', set('1'), undefined, {})
    const bringBack = await saved(own)
    await own.accept('a', { kind: 'd' }, undefined, {})
    // Of one line, and yet the row is gone from the database already.
    const { to, rows } = await own.take(NOWHERE, 1, {})
    expect(shown(rows[0]?.waiting)?.text).toBeUndefined()
    await bringBack()
    expect(await texts(own, to)).toEqual({ goesOn: false, rows: ['a=1'] })
  })

  it('a journal that is shorter than what was written is written again', async () => {
    const own = journal()
    await own.accept('a', set('1'), undefined, {})
    const bringBack = await saved(own)
    await own.accept('a', set('2'), undefined, {})
    const { to } = await own.take(NOWHERE, 100, {})
    await bringBack()
    expect(await texts(own, to)).toEqual({ goesOn: false, rows: ['a=1'] })
  })

  it('one that is gone begins anew, and goes on from there', async () => {
    const own = journal()
    await own.accept('a', set('1'), undefined, {})
    const { to } = await own.take(NOWHERE, 100, {})
    await port.call({ key: own.key, command: ['DEL', own.key], repeat: 'safe' })
    const empty = await own.take(to, 100, {})
    expect(empty).toMatchObject({ goesOn: false, rows: [], to: NOWHERE })
    await own.accept('b', set('2'), undefined, {})
    expect(await texts(own, empty.to)).toEqual({ goesOn: true, rows: ['b=2'] })
    expect(await texts(own, to)).toEqual({ goesOn: false, rows: ['b=2'] })
  })

  it('lines that were written and are back are skipped where all of them are there', async () => {
    const own = journal()
    for (let n = 0; n < 3; n++) await own.accept('a', set(`${n}`), undefined, {})
    const bringBack = await saved(own)
    const { to } = await own.take(NOWHERE, 100, {})
    await own.trim(to, {})
    await bringBack()
    expect(await texts(own, to)).toEqual({ goesOn: true, rows: [] })
    expect(await own.trim(to, {})).toBe(3)
  })
})

describe('lines that came together', () => {
  const together = (own: Journal, ...names: readonly string[]) =>
    Promise.all(names.map((name, i) => own.accept(name, set(`${i}`), undefined, {})))

  it('are handed out and removed in parts, where a batch ends among them', async () => {
    const own = journal()
    await together(own, 'a', 'b', 'a', 'c', 'b')
    const first = await own.take(NOWHERE, 2, {})
    expect(first).toMatchObject({
      goesOn: true,
      from: 1,
      to: { written: { number: 2 }, seen: { number: 5 } },
    })
    expect(first.rows.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(await own.trim(first.to, {})).toBe(2)
    expect(await own.waiting({})).toMatchObject({ first: 3, last: 5 })
    // What is left to write of them is in later lines.
    for (const name of ['a', 'b', 'c']) expect((await own.look(name, {})).waiting).toBeDefined()
    const second = await own.take(first.to, 2, {})
    expect(second).toMatchObject({ goesOn: true, from: 3, to: { written: { number: 4 } } })
    expect(await own.trim(second.to, {})).toBe(2)
    expect((await own.look('a', {})).waiting).toBeUndefined()
    expect((await own.look('b', {})).waiting).toBeDefined()
    const third = await own.take(second.to, 2, {})
    expect(third.rows.map(({ name }) => name)).toEqual(['b'])
    expect(await own.trim(third.to, {})).toBe(1)
    expect(await countedBytes(own)).toEqual({ said: 0, lines: 0, bytes: 0 })
  })

  it('are known by where they were written to, among them and at their end, from others that got their numbers', async () => {
    const own = journal()
    await together(own, 'a', 'b')
    const bringBack = await saved(own)
    await together(own, 'a', 'b', 'c')
    const inside = await own.take(NOWHERE, 3, {})
    const atEnd = await own.take(NOWHERE, 2, {})
    expect(await own.take(inside.to, 9, {})).toMatchObject({ goesOn: true, from: 4 })
    await bringBack()
    await together(own, 'a', 'b', 'c')
    expect(await own.take(inside.to, 9, {})).toMatchObject({ goesOn: false, from: 1 })
    expect(await own.trim(inside.to, {})).toBe(0)
    // Lines 1 and 2 are the same; what was read up to line 5 is not.
    expect(await own.take(atEnd.to, 9, {})).toMatchObject({ goesOn: false, from: 1 })
    expect(await own.trim(atEnd.to, {})).toBe(2)
  })

  it('are told apart by the times at which they came', async () => {
    const own = journal()
    await together(own, 'a', 'b', 'c')
    await expect.poll(async () => (await own.waiting({})).ms).toBeGreaterThan(20)
    const { to } = await own.take(NOWHERE, 1, {})
    await own.trim(to, {})
    expect((await own.waiting({})).ms).toBeGreaterThan(20)
    expect((await own.take(to, 1, {})).ms).toBeGreaterThan(20)
  })
})

it('whatever is changed, taken, trimmed and lost, the table ends as the last states say', async () => {
  const row = fc.constantFrom('a', 'b', 'c')
  const deed = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('set' as const), row, n: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), row }) },
    // In one script, so that a flush may end among them.
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('set together' as const),
        rows: fc.array(fc.tuple(row, fc.nat(9)), { minLength: 2, maxLength: 6 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('count' as const), row, n: fc.integer({ min: -3, max: 3 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('flush' as const), most: fc.integer({ min: 1, max: 4 }) }),
    },
    // What is written is not trimmed: the flusher dies in between.
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('flush and die' as const),
        most: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'copy' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'lose' as const }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 25 }), async (deeds) => {
      const own = journal()
      // The database, with the position in it.
      const table = new Map<string, number>()
      let position = NOWHERE
      /** What everybody was told, as far as it has not been lost. */
      let truth = new Map<string, number>()
      let copy: { parts: readonly Buffer[]; truth: Map<string, number> } | undefined
      const flush = async (most: number, dies: boolean): Promise<number> => {
        const taken = await own.take(position, most, {})
        for (const { name, waiting } of taken.rows) {
          if (waiting.bytes === undefined) table.delete(name)
          else
            table.set(
              name,
              waiting.counters.get('n') ?? (JSON.parse(waiting.bytes.toString()) as { n: number }).n,
            )
        }
        position = taken.to
        if (!dies) await own.trim(position, {})
        return taken.to.seen.number - taken.to.written.number
      }
      for (const one of deeds) {
        if (one.kind === 'set') {
          await own.accept(one.row, set(JSON.stringify({ n: one.n })), undefined, {})
          truth.set(one.row, one.n)
        } else if (one.kind === 'set together') {
          await Promise.all(
            one.rows.map(([name, n]) => own.accept(name, set(JSON.stringify({ n })), undefined, {})),
          )
          for (const [name, n] of one.rows) truth.set(name, n)
        } else if (one.kind === 'delete') {
          await own.accept(one.row, { kind: 'd' }, undefined, {})
          truth.delete(one.row)
        } else if (one.kind === 'count') {
          const answer = await increment(own, one.row, one.n, JSON.stringify({ n: table.get(one.row) ?? 0 }))
          const sum = (truth.get(one.row) ?? 0) + one.n
          expect(answer).toMatchObject({ state: 'accepted', value: sum })
          truth.set(one.row, sum)
        } else if (one.kind === 'copy') {
          const all = await port.call({ key: own.key, command: ['HGETALL', own.key] }, { binary: true })
          copy = { parts: all as readonly Buffer[], truth: new Map(truth) }
        } else if (one.kind === 'lose') {
          if (copy === undefined) continue
          await port.call({ key: own.key, command: ['DEL', own.key] })
          if (copy.parts.length > 0)
            await port.call({ key: own.key, command: ['HSET', own.key, ...copy.parts] })
          // Rows of which nothing waits here are what the table says.
          truth = new Map(table)
          const { rows } = await own.take(NOWHERE, 100, {})
          for (const { name, waiting } of rows) {
            if (waiting.bytes === undefined) truth.delete(name)
            else
              truth.set(
                name,
                waiting.counters.get('n') ?? (JSON.parse(waiting.bytes.toString()) as { n: number }).n,
              )
          }
          copy = undefined
        } else await flush(one.most, one.kind === 'flush and die')
      }
      while ((await flush(3, false)) > 0);
      await flush(3, false)
      expect(table).toEqual(truth)
    }),
    { numRuns: 300 },
  )
})

/** What fields of a journal take, by what is said of them: lines, and rows that wait. */
async function countedBytes(own: Journal): Promise<{ said: number; lines: number; bytes: number }> {
  const all = await port.call({ key: own.key, command: ['HGETALL', own.key] }, { binary: true })
  const parts = all as readonly Buffer[]
  let lines = 0
  let bytes = 0
  let said = 0
  for (let i = 0; i < parts.length; i += 2) {
    const field = String(parts[i])
    const length = parts[i + 1]?.length ?? 0
    if (field === 'b') said = Number(String(parts[i + 1]))
    if (/^j\d/.test(field)) lines++
    if (/^(?:j\d|s|n)/.test(field)) bytes += length
  }
  return { said, lines, bytes }
}

it('whoever waits beyond the high water is told of its own line only, and no bound is passed', async () => {
  const bounds = { lines: 5, highWater: 2, bytes: 350 }
  const deed = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('set' as const),
        row: fc.constantFrom('a', 'b', 'c'),
        size: fc.constantFrom(0, 0, 20, 200),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('count' as const), row: fc.constantFrom('a', 'b', 'c') }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('flush' as const), most: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: 'copy' as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'lose' as const }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 30 }), async (deeds) => {
      const own = journal(bounds)
      let position = NOWHERE
      let version = 0
      /** The newest version of each row that was ever written. */
      const written = new Map<string, number>()
      let awaited: { number: number; mark: string; row: string; version: number }[] = []
      let copy: { parts: readonly Buffer[]; awaited: typeof awaited } | undefined
      const lost: typeof awaited = []
      const flush = async (most: number) => {
        const taken = await own.take(position, most, {})
        for (const { name, waiting } of taken.rows) {
          const { v } = JSON.parse(waiting.bytes?.toString() ?? '{}') as { v: number }
          written.set(name, Math.max(written.get(name) ?? 0, waiting.counters.get('v') ?? v))
        }
        position = taken.to
        await own.trim(position, {})
        return taken.to.seen.number - taken.to.written.number
      }
      const told = async () => {
        const those = [...awaited, ...lost]
        const { number, has } = await own.firstWith(those.map(({ mark }) => mark))
        return those.flatMap((one, i) => (has[i] === true && one.number < number ? [one] : []))
      }
      for (const one of deeds) {
        const before = await countedBytes(own)
        if (one.kind === 'set' || one.kind === 'count') {
          version++
          const bytes = Buffer.from(
            JSON.stringify({ v: version, text: one.kind === 'set' ? 'x'.repeat(one.size) : '' }),
          )
          const row = one.row
          const patient = { patienceMs: 60_000 }
          let answer = await own.accept(
            row,
            one.kind === 'set' ? { kind: 's', bytes } : { kind: 'i', field: 'v', by: 1 },
            undefined,
            patient,
          )
          if (answer.state === 'unknown') {
            const from = { value: version - 1, bytes, expected: answer.expected }
            answer = await own.accept(row, { kind: 'i', field: 'v', by: 1, from }, undefined, patient)
          }
          const after = await countedBytes(own)
          if (answer.state === 'accepted') {
            expect(answer.place).toBe(before.lines + 1)
            const { number, mark, place } = answer
            if (place > bounds.highWater)
              awaited.push({ number, mark, row, version: answer.value ?? version })
          } else {
            expect(answer.state).toBe('full')
            expect(after).toEqual(before)
          }
        } else if (one.kind === 'flush') await flush(one.most)
        else if (one.kind === 'copy') {
          const all = await port.call({ key: own.key, command: ['HGETALL', own.key] }, { binary: true })
          copy = { parts: all as readonly Buffer[], awaited: [...awaited] }
        } else if (copy !== undefined) {
          await port.call({ key: own.key, command: ['DEL', own.key] })
          if (copy.parts.length > 0)
            await port.call({ key: own.key, command: ['HSET', own.key, ...copy.parts] })
          const { awaited: kept } = copy
          lost.push(...awaited.filter((line) => !kept.includes(line)))
          awaited = kept
          copy = undefined
        }
        const now = await countedBytes(own)
        expect(now.said).toBe(now.bytes)
        expect(now.lines).toBeLessThanOrEqual(bounds.lines)
        if (now.lines > 1) expect(now.bytes).toBeLessThanOrEqual(bounds.bytes)
        for (const { row, version: least } of await told()) {
          expect(written.get(row) ?? 0).toBeGreaterThanOrEqual(least)
        }
      }
      while ((await flush(3)) > 0);
      expect((await told()).toSorted((a, b) => a.number - b.number)).toEqual(
        awaited.toSorted((a, b) => a.number - b.number),
      )
    }),
    { numRuns: rounds(100, 2000) },
  )
})

describe('a change that is sent again after a failover took it back', () => {
  it('does not pass for the line that it was, so that what was accepted before it is written', async () => {
    const own = journal()
    const { key } = own
    const all = () => port.call({ key, command: ['HGETALL', key] }, { binary: true }) as Promise<Buffer[]>
    await own.accept('base', set('1'), undefined)
    const replica = await all()
    await own.accept('lost', set('lost'), undefined)
    const table = new Set<string>()
    let position = NOWHERE
    const flush = async () => {
      const { rows, to, goesOn } = await own.take(position, 100, { owner: 'e1' })
      for (const { name } of rows) table.add(name)
      position = to
      await own.trim(to, { owner: 'e1' })
      return goesOn
    }
    const losing = portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        // Its answer is lost, and so is what the replica had not heard of; as many lines as that come before it is sent again.
        await port.call(call, options)
        await flush()
        await port.call({ key, command: ['DEL', key] })
        await port.call({ key, command: ['HSET', key, ...replica] })
        await own.accept('b', set('b'), undefined)
        return await port.call(call, options)
      },
    })
    const again = new Journal(losing, key, { lines: 1000, bytes: 1_000_000, markMs: 60_000 })
    const from = { value: 4, bytes: '{}', expected: Buffer.from('y') }
    const answer = await again.accept('a', { kind: 'i', field: 'n', by: 1, from }, 'a mark')
    expect(answer).toMatchObject({ state: 'accepted', number: 3 })
    expect(position.written.number).toBe(3)
    expect(await flush()).toBe(false)
    expect([...table].toSorted()).toEqual(['a', 'b', 'base', 'lost'])
  })
})

describe('a journal that is filled at once', () => {
  it('tells those that had no room with the same script when there may be, as it tells those that come later', async () => {
    const own = journal({ lines: 2 })
    await own.accept('a', set('1'), undefined)
    const { to } = await own.take(NOWHERE, 100, {})
    await own.trim(to, {})
    const answers = await Promise.all(['b', 'c', 'd'].map((name) => own.accept(name, set('1'), undefined)))
    expect(answers.map(({ state }) => state)).toEqual(['accepted', 'accepted', 'full'])
    expect(answers[2]).toMatchObject({ ms: expect.any(Number) as number })
  })
})
