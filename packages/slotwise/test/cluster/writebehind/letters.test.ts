import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BatchFencedError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { type Burial, DeadLetters } from '../../../src/writebehind/dead-letters.js'
import { Flusher } from '../../../src/writebehind/flusher.js'
import type { Claim, Row, Writer } from '../../../src/writebehind/index.js'
import { isSame, Journal, NOWHERE, type Owner } from '../../../src/writebehind/journal.js'
import { Settling } from '../../../src/writebehind/settling.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const ROW = 'bad'
const nameOf = (id: string) => JSON.stringify([id])

/** A process that does one thing after the other, and stands still, or dies, before one of them. */
class Steps {
  count = 0
  isStopped = false
  /** Nothing is left for it to do. */
  isQuiet = false
  readonly #before: number
  #goOn: () => void = () => {}
  #die: (error: Error) => void = () => {}

  constructor(before = Infinity) {
    this.#before = before
  }

  async does<R>(act: () => Promise<R>): Promise<R> {
    this.isQuiet = false
    if (this.count++ === this.#before) {
      this.isStopped = true
      await new Promise<void>((resolve, reject) => {
        this.#goOn = resolve
        this.#die = reject
      })
      this.isStopped = false
    }
    return await act()
  }

  resume(): void {
    this.#goOn()
  }

  /** What it stands before is never done. */
  die(): void {
    this.#die(new Error('it has died'))
  }
}

/** A database that keeps the position beside the rows, or knows nothing of it. */
function databaseOf(fences: boolean) {
  const rows = new Map<string, unknown>()
  let state: Claim = { epoch: 0n, position: NOWHERE }
  const writerOf = (steps: Steps, takes: boolean): Writer<string> => ({
    claim: () =>
      steps.does(async () => {
        if (!fences) return undefined
        state = { ...state, epoch: state.epoch + 1n }
        return state
      }),
    write: (batch: readonly Row<string>[], { epoch, from, to }) =>
      steps.does(async () => {
        if (fences && epoch === state.epoch && isSame(state.position, to) && !isSame(from, to)) return
        if (fences && (epoch !== state.epoch || !isSame(state.position, from)))
          throw new BatchFencedError('claimed')
        if (!takes && batch.some(({ id }) => id === ROW)) throw new Error('does not fit')
        for (const row of batch) if (!row.deleted) rows.set(String(row.id), row.value)
        state = { epoch, position: to }
      }),
    isAboutRow: () => true,
  })
  return { rows, writerOf }
}

/** Letters as they once were: in a key of their own, whoever says so, whatever has become of the row. */
class ApartLetters extends DeadLetters<string> {
  readonly #key: Key = keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'apart' }, [
    randomUUID(),
  ])
  readonly #port: RedisPort

  constructor(through: RedisPort, key: Key, shared?: Key) {
    super(through, key)
    this.#port = through
    this.#key = shared ?? this.#key
  }

  override async bury(_owner: Owner, burials: readonly Burial<string>[]) {
    const fields = burials.flatMap(({ name, row }) => [name, row.deleted ? '' : row.value])
    await this.#port.call({ key: this.#key, command: ['HSET', this.#key, ...fields] })
    return { names: new Set(burials.map(({ name }) => name)), last: { number: 0, tag: '' } }
  }

  override async list() {
    const reply = await this.#port.call({ key: this.#key, command: ['HGETALL', this.#key] })
    const [name = '', value = ''] = (Array.isArray(reply) ? reply : []).map(String)
    const letter = { id: ROW, row: { id: ROW, deleted: false, value }, error: '', at: new Date() } as const
    return new Map(name === '' ? [] : [[name, { letter, tag: Buffer.alloc(8) }]])
  }

  /** Once a batch is written, as it was. */
  async written(): Promise<void> {
    await this.#port.call({ key: this.#key, command: ['HDEL', this.#key, nameOf(ROW)] })
  }
}

interface Case {
  readonly fences: boolean
  /** Who of the three takes the row. */
  readonly takes: readonly [boolean, boolean, boolean]
  /** Whether the row changes once more, before the second begins. */
  readonly changes: boolean
  readonly first: number
  readonly second: number
  readonly naive?: boolean
}

/**
 * A flusher stands still before one of its steps; a second one takes over, and dies before one of its own; the first goes on; a
 * third does what is left. Where the row is then.
 */
async function run({ fences, takes, changes, first, second, naive = false }: Case) {
  const space = { namespace: port.namespace, pattern: 'writebehind', name: 'letters' }
  const key = keyOf(space, [randomUUID()])
  const apart = keyOf(space, [randomUUID()])
  const bounds = { lines: 100, bytes: 100_000, markMs: 1000 }
  const { rows, writerOf } = databaseOf(fences)
  const clients = new Journal(port, key, bounds)
  const accept = (id: string, value: string) =>
    clients.accept(nameOf(id), { kind: 's', bytes: Buffer.from(JSON.stringify(value)) }, undefined, {})
  const stop = new AbortController()
  const runs: Promise<void>[] = []

  function begin(steps: Steps, lease: bigint, isTaken: boolean) {
    const through = portWith(port, {
      call: (async (call, options) => {
        const reply = await steps.does(() => port.call(call, options))
        const script = 'script' in call ? call.script.name : ''
        if (script === 'writebehind/take' && Array.isArray(reply)) {
          const [, from, , , last] = reply.map(Number)
          steps.isQuiet = (from ?? 0) > (last ?? 0)
        }
        // It has taken all that there was, and then waits for longer than this takes.
        if (script === 'writebehind/trim') steps.isQuiet = true
        return reply
      }) satisfies RedisPort['call'],
    })
    const letters = naive ? new ApartLetters(through, key, apart) : new DeadLetters<string>(through, key)
    const writer = writerOf(steps, isTaken)
    const write: Writer<string>['write'] = async (batch, context) => {
      // As functions are asked: there is no position to be moved.
      if (!fences && batch.length === 0) return
      await writer.write(batch, context)
      if (letters instanceof ApartLetters && batch.some(({ id }) => id === ROW)) await letters.written()
    }
    const flusher = new Flusher<string>(new Journal(through, key, bounds), 0, {
      name: 'letters',
      writer: { ...writer, write },
      letters,
      evidence: { taken: 0 },
      writeTimeoutMs: 30_000,
      batchSize: { min: 10, max: 10, start: 10, targetMs: 1000 },
      flushIntervalMs: 60_000,
      lease,
      safety: { replicas: 0, fsync: false },
      report: () => {},
    })
    let hasEnded = false
    runs.push(flusher.run(stop.signal).then(() => void (hasEnded = true)))
    return async () => {
      while (!steps.isStopped && !steps.isQuiet && !hasEnded) await turn()
    }
  }

  await accept('good', '1')
  await accept(ROW, 'one')
  const [a, b, c] = [new Steps(first), new Steps(second), new Steps()]
  const untilAStops = begin(a, 1n, takes[0])
  await untilAStops()
  if (changes) await accept(ROW, 'two')
  await begin(b, 2n, takes[1])()
  if (a.isStopped) {
    a.resume()
    await turn()
    await untilAStops()
  }
  await begin(c, 3n, takes[2])()
  const list = await (naive ? new ApartLetters(port, key, apart) : new DeadLetters<string>(port, key)).list()
  const letter = list.get(nameOf(ROW))?.letter.row
  stop.abort()
  b.die()
  await Promise.all(runs)
  const latest = changes ? 'two' : 'one'
  return {
    steps: [a.count, b.count],
    isWritten: rows.get(ROW) === latest,
    isGivenUp: letter?.deleted === false && letter.value === latest,
    letters: list.size,
  }
}

const WHO = [
  ['refused, and then taken', [false, true, true]],
  ['taken, and then refused', [true, false, false]],
  ['refused, taken, and refused', [false, true, false]],
  ['taken, refused, and taken', [true, false, true]],
] as const
const MOST = 12

/** Every place where the first stands still, by every place where the second dies. */
async function wrong(
  given: Omit<Case, 'first' | 'second'>,
  isRight: (one: Awaited<ReturnType<typeof run>>) => boolean,
) {
  const found: string[] = []
  for (let first = 0; first <= MOST; first++) {
    const all = await Promise.all(
      Array.from({ length: MOST + 1 }, async (_, second) => ({
        second,
        ...(await run({ ...given, first, second })),
      })),
    )
    for (const one of all) if (!isRight(one)) found.push(`${first}, ${one.second}: ${JSON.stringify(one)}`)
  }
  return found
}

const exactlyOne = (one: Awaited<ReturnType<typeof run>>) =>
  one.isWritten !== one.isGivenUp && one.letters === (one.isGivenUp ? 1 : 0)

describe('wherever a flusher stands still while another takes over, and wherever that one dies', () => {
  describe.each(WHO)('a row that is %s', (_, takes) => {
    it.each([false, true])(
      'is in the database or has a letter, never both or neither; changed: %s',
      async (changes) => {
        expect(await wrong({ fences: true, takes, changes }, exactlyOne)).toEqual([])
      },
    )

    it.each([false, true])(
      'is not lost by a function, which nothing fences, and given up once; changed: %s',
      async (changes) => {
        // What was written may be refused when it is tried again, or written late by who stood still.
        const isThere = (one: Awaited<ReturnType<typeof run>>) => one.isWritten || one.isGivenUp
        const isRight = takes[0] || !takes[2] ? isThere : exactlyOne
        expect(await wrong({ fences: false, takes, changes }, isRight)).toEqual([])
      },
    )
  })

  it('letters in a key of their own, which whoever is late adds to, are stale', async () => {
    const found = await wrong(
      { fences: true, takes: [false, true, true], changes: false, naive: true },
      exactlyOne,
    )
    expect(found).not.toEqual([])
  })

  it('is stopped before every step that there is', async () => {
    const { steps } = await run({
      fences: true,
      takes: [false, false, false],
      changes: true,
      first: 99,
      second: 99,
    })
    expect(Math.max(...steps)).toBeLessThanOrEqual(MOST)
    expect(Math.min(...steps)).toBeGreaterThan(5)
  })
})

/** A journal, to set a row in it, and to have it given up. */
function replayed() {
  const key = keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'replayed' }, [randomUUID()])
  const journal = new Journal(port, key, { lines: 100, bytes: 100_000, markMs: 1000 })
  const letters = new DeadLetters<string>(port, key)
  const name = nameOf(ROW)
  const set = (value: string, ifLetter?: Buffer) => ({
    kind: 's' as const,
    bytes: Buffer.from(JSON.stringify(value)),
    ...(ifLetter === undefined ? {} : { ifLetter }),
  })
  /** Takes the row, and gives it up. */
  const refused = async () => {
    const { rows, to } = await journal.take(NOWHERE, 10, { owner: 'e1' })
    const [{ tag } = fail()] = rows
    const row = { id: ROW, deleted: false, value: 'x' } as const
    await letters.bury('e1', [{ name, tag, row, error: 'no' }], to.written.number, {
      replicas: 0,
      fsync: false,
    })
    await journal.trim(to, { owner: 'e1' })
    return (await letters.list()).get(name)?.tag ?? fail()
  }
  return { journal, letters, name, set, refused }
}

it('a letter that is no letter any more, or another one, is not tried again', async () => {
  const { journal, letters, name, set, refused } = replayed()
  await journal.accept(name, set('one'), undefined, {})
  const first = await refused()
  await journal.accept(name, set('two'), undefined, {})
  const second = await refused()
  expect(second).not.toEqual(first)
  // What was read of the first letter comes late.
  expect(await journal.accept(name, set('one', first), undefined, {})).toMatchObject({ state: 'unknown' })
  expect(await journal.accept(name, set('two', second), undefined, {})).toMatchObject({ state: 'accepted' })
  expect(await journal.accept(name, set('two', second), undefined, {})).toMatchObject({ state: 'unknown' })
  const { to } = await journal.take(NOWHERE, 10, { owner: 'e1' })
  expect(await letters.forget('e1', [name], {})).toBe(1)
  await journal.trim(to, { owner: 'e1' })
  expect(await journal.accept(name, set('two', second), undefined, {})).toMatchObject({ state: 'unknown' })
})

it('a letter is discarded as it was told, and not what has become of its row since', async () => {
  const { journal, letters, name, set, refused } = replayed()
  await journal.accept(name, set('one'), undefined, {})
  const first = await refused()
  await journal.accept(name, set('two'), undefined, {})
  const second = await refused()
  expect(await letters.discard([{ name, tag: first }], {})).toBe(0)
  expect((await letters.list()).get(name)?.tag).toEqual(second)
  expect(await letters.discard([{ name, tag: second }], {})).toBe(1)
  expect((await letters.list()).size).toBe(0)
})

function fail(): never {
  throw new Error('there is none')
}

describe('rows of a database that goes away', () => {
  /** Which errors it has while it is away, and when somebody else's batch was taken for the last time. */
  const tries = async (isAboutRow: (error: unknown) => boolean, takes: (call: number) => boolean) => {
    const key = keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'away' }, [randomUUID()])
    const journal = new Journal(port, key, { lines: 100, bytes: 100_000, markMs: 1000 })
    const letters = new DeadLetters<string>(port, key)
    const evidence = { taken: 0 }
    let calls = 0
    const settling = new Settling<string>({
      letters,
      writer: {
        claim: async () => undefined,
        write: async (rows) => {
          if (takes(calls++)) evidence.taken++
          if (rows.length > 0) throw new Error(calls === 1 ? 'does not fit' : 'away')
        },
        isAboutRow,
      },
      evidence,
      writeTimeoutMs: 1000,
      safety: { replicas: 0, fsync: false },
      report: () => {},
    })
    for (const name of ['a', 'b', 'c']) {
      await journal.accept(nameOf(name), { kind: 's', bytes: Buffer.from('"x"') }, undefined, {})
    }
    const { rows, to } = await journal.take(NOWHERE, 10, { owner: 'e1' })
    const named = rows.map((taken) => ({
      ...taken,
      row: { id: taken.name, deleted: false, value: 'x' } as const,
    }))
    const { signal } = new AbortController()
    for (let n = 0; n < 8; n++) {
      const context = { partition: 0, epoch: 1n, from: NOWHERE, to, signal }
      await settling.write(named, context, 'e1').catch(() => {})
    }
    return [...(await letters.list()).keys()]
  }

  it('are not given up for what it took of others just before', async () => {
    expect(
      await tries(
        () => false,
        (call) => call === 0,
      ),
    ).toEqual([])
  })

  it('are not given up while it is found out which of them it has refused before', async () => {
    const isAboutRow = (error: unknown) => error instanceof Error && error.message === 'does not fit'
    expect(await tries(isAboutRow, (call) => call === 2)).toEqual([])
  })
})

describe('a row that changes while it is given up', () => {
  it('has no letter of what it was, and what a failover takes back then is written again', async () => {
    const key = keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'changing' }, [randomUUID()])
    const journal = new Journal(port, key, { lines: 100, bytes: 100_000, markMs: 1000 })
    const letters = new DeadLetters<string>(port, key)
    const accept = (value: string) =>
      journal.accept(nameOf(ROW), { kind: 's', bytes: Buffer.from(JSON.stringify(value)) }, undefined, {})
    let isChanged = false
    const settling = new Settling<string>({
      letters,
      writer: {
        claim: async () => undefined,
        write: async (rows) => {
          if (rows.length === 0) return
          if (!isChanged) await accept('two')
          isChanged = true
          throw new Error('does not fit')
        },
        isAboutRow: () => true,
      },
      evidence: { taken: 0 },
      writeTimeoutMs: 1000,
      safety: { replicas: 0, fsync: false },
      report: () => {},
    })
    await accept('one')
    const { rows, to } = await journal.take(NOWHERE, 10, { owner: 'e1' })
    const row = { id: ROW, deleted: false, value: 'one' } as const
    const { signal } = new AbortController()
    const settled = await settling.write(
      rows.map((taken) => ({ ...taken, row })),
      { partition: 0, epoch: 1n, from: NOWHERE, to, signal },
      'e1',
    )
    expect(settled).toMatchObject({ given: 0, to: { written: { number: 1 }, seen: { number: 2 } } })
    expect((await letters.list()).size).toBe(0)
    // Where the second change is there, it is next; where a failover has taken it back, the first is there once more.
    expect(await journal.take(settled.to, 10, { owner: 'e1' })).toMatchObject({ goesOn: true, from: 2 })
    await port.call({ key, command: ['HDEL', key, 'j2'] })
    await port.call({ key, command: ['HSET', key, 'l', '1', 't', Buffer.from(to.written.tag, 'latin1')] })
    expect(await journal.take(settled.to, 10, { owner: 'e1' })).toMatchObject({ goesOn: false, from: 1 })
  })
})

describe('letters', () => {
  const whichever = (names: readonly string[]) => names.map((name) => ({ name, tag: '' }))

  async function many(count: number) {
    const key = keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'many' }, [randomUUID()])
    const journal = new Journal(port, key, { lines: 10_000, bytes: 10_000_000, markMs: 1000 })
    const letters = new DeadLetters<string>(port, key)
    const names = Array.from({ length: count }, (_, n) => nameOf(`${n}`))
    for (const name of names)
      await journal.accept(name, { kind: 's', bytes: Buffer.from('"x"') }, undefined, {})
    const { rows } = await journal.take(NOWHERE, count, { owner: 'e1' })
    const burials = rows.map(({ name, tag }) => ({
      name,
      tag,
      row: { id: name, deleted: false as const, value: 'x' },
      error: 'no',
    }))
    const { names: buried } = await letters.bury('e1', burials, count, { replicas: 0, fsync: false })
    expect([...buried].toSorted()).toEqual(names.toSorted())
    return { key, journal, letters, names }
  }

  it('are all listed, however many they are, and counted without being listed', async () => {
    const { journal, letters, names } = await many(250)
    expect([...(await letters.list()).keys()].toSorted()).toEqual(names.toSorted())
    expect(await letters.discard(whichever(names.slice(50, 150)), {})).toBe(100)
    expect(await letters.discard(whichever(names.slice(50, 150)), {})).toBe(0)
    expect([...(await letters.list()).keys()].toSorted()).toEqual(
      [...names.slice(0, 50), ...names.slice(150)].toSorted(),
    )
    expect((await journal.take(NOWHERE, 1, { owner: 'e1' })).letters).toBe(150)
  })

  it('are removed by a flusher some at a time, so that no script takes long', async () => {
    const { key, names } = await many(250)
    const removed: number[] = []
    const through = portWith(port, {
      call: (async (call, options) => {
        if ('args' in call) removed.push((call.args.length - 1) / 2)
        return await port.call(call, options)
      }) satisfies RedisPort['call'],
    })
    const letters = new DeadLetters<string>(through, key)
    expect(await letters.forget('e1', names, {})).toBe(250)
    expect(removed).toEqual([100, 100, 50])
    await expect(letters.forget('e0', names, {})).rejects.toThrow(BatchFencedError)
  })

  it('that stay are listed while others go', async () => {
    const { key, letters, names } = await many(250)
    const [going, staying] = [names.filter((_, n) => n % 5 === 0), names.filter((_, n) => n % 5 !== 0)]
    let rest = going
    // Between one page and the next, some of those in front go, and the last take their places.
    const through = portWith(port, {
      call: (async (call, options) => {
        const reply = await port.call(call, options)
        await letters.discard(whichever(rest.slice(0, 20)), {})
        rest = rest.slice(20)
        return reply
      }) satisfies RedisPort['call'],
    })
    const listed = new Set((await new DeadLetters<string>(through, key).list()).keys())
    expect(staying.filter((name) => !listed.has(name))).toEqual([])
  })
})
