import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OutcomeUnknownError, ReplyError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { type Answer, type Change, Journal, NOWHERE } from '../../../src/writebehind/journal.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { gate } from '../cache/gate.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const set = (text: string): Change => ({ kind: 's', bytes: text })

type Wrong = (scripts: readonly number[]) => Error | undefined | Promise<undefined>

/** A journal, and how many changes each of its scripts has accepted. */
function journal(bounds = {}, wrong: Wrong = () => undefined) {
  const scripts: number[] = []
  const own = new Journal(
    portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        if ('script' in call && call.script.name.endsWith('accept')) {
          scripts.push(String(call.args[4]).length / 4)
          const error = await wrong(scripts)
          if (error !== undefined) throw error
        }
        return await port.call(call, options)
      },
    }),
    keyOf({ namespace: port.namespace, pattern: 'writebehind', name: 'test' }, [randomUUID()]),
    { lines: 1000, bytes: 1_000_000, markMs: 60_000, ...bounds },
  )
  return { own, scripts }
}

const texts = async (own: Journal) =>
  (await own.take(NOWHERE, 1000, {})).rows.map(({ name, waiting }) => `${name}=${String(waiting.bytes)}`)

describe('changes that come in one turn', () => {
  it('go by one script, in their order', async () => {
    const { own, scripts } = journal()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => own.accept(`row ${n % 5}`, set(`${n}`), undefined)),
    )
    expect(scripts).toEqual([50])
    expect(answers.map((answer) => answer.state === 'accepted' && answer.number)).toEqual(
      Array.from({ length: 50 }, (_, n) => n + 1),
    )
    expect(await texts(own)).toEqual([45, 46, 47, 48, 49].map((n) => `row ${n % 5}=${n}`))
  })

  it('are no more than a hundred, and no more than 64 KiB, but for one that is larger', async () => {
    const many = journal()
    await Promise.all(Array.from({ length: 201 }, (_, n) => many.own.accept(`${n}`, set('1'), undefined)))
    expect(many.scripts).toEqual([100, 100, 1])
    const large = journal()
    const sizes = [1000, 70_000, 30_000, 30_000, 30_000]
    await Promise.all(sizes.map((size, n) => large.own.accept(`${n}`, set('1'.repeat(size)), undefined)))
    expect(large.scripts).toEqual([1, 1, 2, 1])
  })

  it('do not wait for those of a later turn', async () => {
    const { own, scripts } = journal()
    for (let n = 0; n < 3; n++) await own.accept('a', set(`${n}`), undefined)
    expect(scripts).toEqual([1, 1, 1])
  })

  it('keep their order where one goes alone, since it may be given up alone', async () => {
    const { own, scripts } = journal()
    const { signal } = new AbortController()
    await Promise.all([
      own.accept('a', set('1'), undefined),
      own.accept('a', set('2'), undefined),
      own.accept('a', set('3'), undefined, { signal }),
      own.accept('a', set('4'), undefined),
      own.accept('a', set('5'), 'a mark'),
      own.accept('a', set('6'), undefined, { deadlineMs: 2000 }),
    ])
    expect(scripts).toEqual([2, 1, 1, 1, 1])
    expect(await texts(own)).toEqual(['a=6'])
  })

  it('are not given up with one that is', async () => {
    const { own } = journal({}, () => sleep(5, undefined))
    const giving = new AbortController()
    const answers = [
      own.accept('a', set('1'), undefined),
      own.accept('b', set('2'), undefined, { signal: giving.signal }),
      own.accept('c', set('3'), undefined),
    ]
    giving.abort(new Error('given up'))
    const [first, second, third] = await Promise.allSettled(answers)
    expect([first?.status, second?.status, third?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('are one as unknown as the other when their answer is lost', async () => {
    const lost = new OutcomeUnknownError('the answer was lost', { node: 'a node' })
    const { own } = journal({}, () => lost)
    const settled = await Promise.allSettled(['a', 'b'].map((id) => own.accept(id, set('1'), undefined)))
    expect(settled.map((one) => one.status === 'rejected' && one.reason === lost)).toEqual([true, true])
  })

  it('are refused each by itself by a server without memory, which still knows what it has accepted', async () => {
    const full = new ReplyError('OOM command not allowed when used memory > maxmemory')
    let isFull = false
    const { own, scripts } = journal({}, (sent) => {
      // A script that has to write first is refused as a whole; the one with nothing but a known mark is not.
      if (isFull && (sent.at(-1) !== 1 || sent.length > 4)) return full
      return undefined
    })
    const known = await own.accept('a', set('1'), 'a mark')
    isFull = true
    const answers = await Promise.all([
      own.accept('a', set('1'), 'a mark'),
      own.accept('b', set('2'), 'another'),
      own.accept('c', set('3'), 'a third'),
    ])
    expect(scripts).toEqual([1, 3, 1, 1, 1])
    expect(answers[0]).toEqual(known)
    expect(answers[2]).toEqual({ state: 'out of memory' })
  })

  it('of one mark are counted once', async () => {
    const { own, scripts } = journal()
    const from = { value: 4, bytes: '{}', expected: Buffer.from('y') }
    const change: Change = { kind: 'i', field: 'n', by: 1, from }
    const answers = await Promise.all([1, 2, 3].map(() => own.accept('a', change, 'a mark')))
    expect(scripts).toEqual([3])
    expect(answers).toEqual([answers[0], answers[0], answers[0]])
    expect(answers[0]).toMatchObject({ state: 'accepted', number: 1, value: 5 })
  })
})

describe('changes that come while four are under way at the same primary', () => {
  const four = (own: Journal) =>
    Promise.all(Array.from({ length: 4 }, (_, n) => own.accept('a', set(`${n}`), undefined)))

  /** The first script is held until it is let through. */
  function held() {
    const answer = gate<undefined>()
    const started = gate()
    const { own, scripts } = journal({}, ([...sent]) => {
      if (sent.length > 1) return undefined
      started.open()
      return answer.passed
    })
    return { own, scripts, answer, started: started.passed }
  }

  it('go together as soon as it is answered, in their order', async () => {
    const { own, scripts, answer, started } = held()
    const first = four(own)
    await started
    const others: Promise<Answer>[] = []
    for (const n of [5, 6, 7]) {
      others.push(own.accept('a', set(`${n}`), undefined))
      // Longer than what comes in one turn, and no time for a timer.
      await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)))
    }
    answer.open(undefined)
    await first
    const answers = await Promise.all(others)
    expect(answers.map((one) => one.state === 'accepted' && one.number)).toEqual([5, 6, 7])
    expect(scripts).toEqual([4, 3])
  })

  it('wait for no answer where fewer are', async () => {
    const { own, scripts, answer, started } = held()
    const first = own.accept('a', set('1'), undefined)
    await started
    await own.accept('b', set('2'), undefined)
    await own.accept('b', set('3'), undefined)
    expect(scripts).toEqual([1, 1, 1])
    answer.open(undefined)
    await first
  })

  it('wait a moment at most where it is not answered', async () => {
    const { own, scripts, answer, started } = held()
    const first = four(own)
    await started
    expect(await own.accept('b', set('2'), undefined)).toMatchObject({ state: 'accepted', number: 1 })
    expect(scripts).toEqual([4, 1])
    answer.open(undefined)
    expect((await first)[3]).toMatchObject({ state: 'accepted', number: 5 })
  })

  it('go by one script for each journal', async () => {
    const all = keysAtOneOwner(3)
    const underWay: string[] = []
    const release = gate()
    const through = portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        if ('script' in call) underWay.push(call.keys[0])
        if (underWay.length === 1) await release.passed
        return await port.call(call, options)
      },
    })
    const bounds = { lines: 1000, bytes: 1_000_000, markMs: 60_000 }
    const [first, ...others] = all.map((key) => new Journal(through, key, bounds))
    const early = first === undefined ? undefined : four(first)
    const rest = others.flatMap((one) => ['a', 'b'].map((name) => one.accept(name, set('1'), undefined)))
    release.open()
    await Promise.all([early, ...rest])
    expect(underWay).toEqual(all)
  })
})

it('whatever comes in one turn becomes what it becomes one by one', async () => {
  const id = fc.constantFrom('a', 'b')
  const from = fc.option(
    fc.record({
      value: fc.constantFrom(0, 9_007_199_254_740_990),
      bytes: fc.constant('{}'),
      expected: fc.constantFrom(Buffer.from('y'), Buffer.from('another')),
    }),
    { nil: undefined },
  )
  const ifLetter = fc.constant(Buffer.from('a letter'))
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({ kind: fc.constant('s' as const), bytes: fc.string({ maxLength: 40 }) }),
    fc.record({ kind: fc.constant('d' as const) }),
    fc.record({
      kind: fc.constant('i' as const),
      field: fc.constantFrom('n', 'm'),
      by: fc.integer({ min: -2, max: 2 }),
      from,
    }),
    fc.record({ kind: fc.constant('s' as const), bytes: fc.string({ maxLength: 40 }), ifLetter }),
    fc.record({ kind: fc.constant('d' as const), ifLetter }),
  )
  const asked = fc.record({ id, change, mark: fc.constantFrom(undefined, 'x', 'y') })
  await fc.assert(
    fc.asyncProperty(
      fc.array(asked, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 50, max: 600 }),
      async (changes, lines, bytes) => {
        const [together, oneByOne] = [journal({ lines, bytes }), journal({ lines, bytes })]
        const answers = await Promise.all(
          changes.map((one) => together.own.accept(one.id, one.change, one.mark)),
        )
        const others: Answer[] = []
        for (const one of changes) others.push(await oneByOne.own.accept(one.id, one.change, one.mark))
        expect(answers.map(withoutTags)).toEqual(others.map(withoutTags))
        expect(await left(together.own)).toEqual(await left(oneByOne.own))
      },
    ),
    { numRuns: 300 },
  )
})

function withoutTags(answer: Answer): unknown {
  if (answer.state !== 'unknown') return answer
  return { ...answer, expected: answer.expected.length }
}

/** What there is of a journal, but for tags and moments. */
async function left(own: Journal): Promise<unknown> {
  const all = await port.call({ key: own.key, command: ['HGETALL', own.key] }, { binary: true })
  const parts = (all as readonly Buffer[]).map((part) => part.toString('latin1'))
  const fields = parts.flatMap((field, i) => {
    const value = parts[i + 1] ?? ''
    if (i % 2 === 1 || field === 't') return []
    if (/^j\d/.test(field)) return linesOf(field, value)
    if (field.startsWith('s')) return [[field, value.slice(8)]]
    if (field.startsWith('m')) return [[field, value.slice(14)]]
    return [[field, value]]
  })
  return Object.fromEntries(fields) as unknown
}

/** Keys of journals of one primary. */
function keysAtOneOwner(count: number) {
  const space = { namespace: port.namespace, pattern: 'writebehind', name: 'test' }
  const ownerOf = (key: Key) => port.topology().ownerOf(slotOf(key))?.id
  const first = keyOf(space, [randomUUID()])
  const keys = [first]
  while (keys.length < count) {
    const key = keyOf(space, [randomUUID()])
    if (ownerOf(key) === ownerOf(first)) keys.push(key)
  }
  return keys
}

/** The ids of lines that came together, each by its number. */
function linesOf(field: string, value: string): [string, string][] {
  const found: [string, string][] = []
  for (let at = 24; at < value.length; ) {
    const length = value.charCodeAt(at + 8) * 256 + value.charCodeAt(at + 9)
    found.push([`j${Number(field.slice(1)) + found.length}`, value.slice(at + 10, at + 10 + length)])
    at += 10 + length
  }
  return found
}
