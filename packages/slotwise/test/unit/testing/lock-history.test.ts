import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  checkLockHistory,
  type LockEvent,
  type LockHistoryOptions,
  LockRecorder,
  type LockViolationKind,
} from '../../../src/testing/faults/index.js'
import { rounds } from '../../support/budget.js'

const call = (hold: number, client: string, at: number, resource = 'r'): LockEvent => ({
  kind: 'acquire',
  at,
  hold,
  resource,
  client,
})
const got = (hold: number, at: number, token: bigint | undefined, until?: number): LockEvent => ({
  kind: 'acquired',
  at,
  hold,
  token,
  until,
})
const more = (hold: number, at: number, until: number): LockEvent => ({ kind: 'extended', at, hold, until })
const end = (kind: 'refused' | 'released' | 'lost', hold: number, at: number): LockEvent => ({
  kind,
  at,
  hold,
})
const wrote = (hold: number, at: number, token: bigint | undefined, accepted = true): LockEvent => ({
  kind: 'write',
  at,
  hold,
  token,
  accepted,
})

const kindsOf = (history: readonly LockEvent[], options?: LockHistoryOptions) => [
  ...new Set(checkLockHistory(history, options).violations.map(({ kind }) => kind)),
]
const holders = { exclusion: 'holders' } as const
const unfenced = { fencing: false } as const

/** Ann, then Bob, as it should be. */
const handOver = [
  call(1, 'ann', 0),
  got(1, 2, 10n, 100),
  wrote(1, 5, 10n),
  end('released', 1, 9),
  call(2, 'bob', 10),
  got(2, 12, 11n, 100),
  wrote(2, 15, 11n),
]
const first = handOver.slice(0, 4)

describe('checkLockHistory', () => {
  const good: readonly [string, readonly LockEvent[], LockHistoryOptions?][] = [
    ['nothing', []],
    ['a hand-over', handOver, holders],
    [
      'events of one client after all of another',
      [...handOver.slice(4), ...first.toReversed().toSorted((a, b) => a.at - b.at)].filter(
        ({ kind }) => kind !== 'write',
      ),
      holders,
    ],
    ['a hold that never ends', [call(1, 'ann', 0), got(1, 2, 10n)], holders],
    [
      'a call that never returned, between others',
      [...first, call(3, 'eve', 3), ...handOver.slice(4)],
      holders,
    ],
    [
      'a call whose lock was never heard of, with the token in between',
      [...first, call(3, 'eve', 3), call(2, 'bob', 10), got(2, 12, 12n, 100)],
      holders,
    ],
    ['who was refused', [...first, call(3, 'eve', 3), end('refused', 3, 8), ...handOver.slice(4)], holders],
    [
      'a write that nobody heard of, late',
      [...handOver, { kind: 'write', at: 20, hold: 1, token: 10n, accepted: undefined }],
      holders,
    ],
    ['a late write that was refused', [...handOver, wrote(1, 20, 10n, false), wrote(2, 22, 11n)], holders],
    [
      'a late write before the next holder’s first',
      [...handOver.slice(0, 6), wrote(1, 14, 10n), wrote(2, 15, 11n)],
      holders,
    ],
    [
      'calls that overlap, in the order of the later one',
      [call(1, 'ann', 0), call(2, 'bob', 1), got(2, 5, 8n, 20), end('released', 2, 9), got(1, 10, 9n, 30)],
      holders,
    ],
    [
      'calls that overlap and whose answers came in the other order, of holders who may overlap',
      [call(1, 'ann', 0), call(2, 'bob', 1), got(2, 5, 9n, 20), got(1, 5, 8n, 30)],
    ],
    [
      'the next holder from the very deadline on',
      [...first.slice(0, 3), call(2, 'bob', 50), got(2, 100, 11n, 200)],
      holders,
    ],
    [
      'the next holder after a loss',
      [call(1, 'ann', 0), got(1, 2, 10n, 100), end('lost', 1, 30), call(2, 'bob', 20), got(2, 31, 11n, 200)],
      holders,
    ],
    [
      'a lock that is extended in time',
      [call(1, 'ann', 0), got(1, 2, 10n, 100), more(1, 90, 190), call(2, 'bob', 20), got(2, 191, 11n, 300)],
      holders,
    ],
    [
      'a lock that its holder enters again',
      [
        call(1, 'ann', 0),
        got(1, 2, 10n, 100),
        wrote(1, 3, 10n),
        call(2, 'ann', 5),
        got(2, 6, 10n, 100),
        wrote(2, 7, 10n),
        end('released', 2, 8),
        wrote(1, 9, 10n),
        end('released', 1, 10),
        ...handOver.slice(4).map((event) => ({ ...event, at: event.at + 10, hold: Number(event.hold) + 1 })),
      ],
      holders,
    ],
    [
      'several resources, each with its tokens',
      [...handOver, call(7, 'ann', 30, 's'), got(7, 31, 1n, 100), wrote(7, 32, 1n), wrote(2, 33, 11n)],
      holders,
    ],
    [
      'one client again, after somebody else',
      [...handOver, end('released', 2, 20), call(3, 'ann', 21), got(3, 22, 12n, 100), wrote(3, 23, 12n)],
      holders,
    ],
    [
      'a lock without tokens',
      handOver.map((event) => ('token' in event ? { ...event, token: undefined } : event)),
      { ...holders, ...unfenced },
    ],
    [
      'holders who overlap while a server had forgotten, and whose effects are apart',
      [
        call(1, 'ann', 0),
        got(1, 2, 10n, 100),
        wrote(1, 3, 10n),
        call(2, 'bob', 5),
        got(2, 6, 11n, 100),
        wrote(2, 7, 11n),
        wrote(1, 8, 10n, false),
      ],
    ],
  ]
  it.each(good)('accepts %s', (_, history, options) => {
    expect(checkLockHistory(history, options).violations).toEqual([])
  })

  const bad: readonly [string, LockViolationKind, readonly LockEvent[], LockHistoryOptions?][] = [
    [
      'a token that is smaller than that of an earlier holder',
      'token-order',
      [...first, call(2, 'bob', 10), got(2, 12, 9n, 100)],
    ],
    [
      'a token that is smaller than that of the holder before the last',
      'token-order',
      [...first, call(2, 'bob', 1), got(2, 12, 8n, 20), call(3, 'eve', 30), got(3, 31, 9n, 40)],
    ],
    ['a token that is given again', 'token-shared', [...first, call(2, 'bob', 10), got(2, 12, 10n, 100)]],
    [
      'a token that two have at a time',
      'token-shared',
      [call(1, 'ann', 0), call(2, 'bob', 0), got(1, 2, 10n, 100), got(2, 2, 10n, 100)],
    ],
    [
      'a token that its holder is given again after the release',
      'token-shared',
      [...first, call(2, 'ann', 10), got(2, 12, 10n, 100)],
    ],
    [
      'a token that its holder is given again after its time',
      'token-shared',
      [call(1, 'ann', 0), got(1, 2, 10n, 50), call(2, 'ann', 60), got(2, 61, 10n, 100)],
    ],
    ['a holder without a token', 'no-token', [...first, call(2, 'bob', 10), got(2, 12, undefined, 100)]],
    ['a stale write that is accepted', 'stale-write', [...handOver, wrote(1, 20, 10n)]],
    [
      'a first write of an old holder that comes after the new one’s',
      'stale-write',
      handOver
        .map((event) => (event.kind === 'write' && event.hold === 1 ? { ...event, at: 20 } : event))
        .toSorted((a, b) => a.at - b.at),
    ],
    ['accepted writes of one holder around another’s', 'interleaved', [...handOver, wrote(1, 20, 10n)]],
    [
      'the same without tokens',
      'interleaved',
      [...handOver, wrote(1, 20, 10n)].map((event) =>
        'token' in event ? { ...event, token: undefined } : event,
      ),
      unfenced,
    ],
    [
      'the same with one token for both',
      'interleaved',
      [...handOver, wrote(1, 20, 10n)].map((event) => ('token' in event ? { ...event, token: 10n } : event)),
    ],
    [
      'writes of a re-entered lock around another’s',
      'interleaved',
      [
        call(1, 'ann', 0),
        got(1, 2, 10n, 100),
        wrote(1, 3, 10n),
        call(2, 'ann', 5),
        got(2, 6, 10n, 100),
        call(3, 'bob', 6),
        got(3, 7, 11n, 100),
        wrote(3, 8, 11n),
        wrote(2, 9, 10n),
      ],
    ],
    ['a write with another’s token', 'not-granted', [...handOver.slice(0, 6), wrote(2, 15, 10n)]],
    ['a write without a token', 'not-granted', [...handOver.slice(0, 6), wrote(2, 15, undefined)]],
    [
      'a write of who was refused',
      'not-granted',
      [...first, call(3, 'eve', 3), end('refused', 3, 8), wrote(3, 9, 10n)],
    ],
    [
      'a write before the lock was there',
      'not-granted',
      [...first, call(2, 'bob', 10), wrote(2, 11, 11n), got(2, 12, 11n, 100)],
    ],
    [
      'a write of a call that never returned',
      'not-granted',
      [...first, call(2, 'bob', 10), wrote(2, 11, 11n)],
    ],
    ['an extension after the deadline', 'revived', [call(1, 'ann', 0), got(1, 2, 10n, 50), more(1, 51, 100)]],
    ['an extension after the release', 'revived', [...first, more(1, 10, 100)]],
    [
      'an extension after the loss',
      'revived',
      [call(1, 'ann', 0), got(1, 2, 10n, 100), end('lost', 1, 10), more(1, 11, 100)],
    ],
    [
      'two who hold it at a time',
      'overlap',
      [call(1, 'ann', 0), got(1, 2, 10n, 100), call(2, 'bob', 20), got(2, 99, 11n, 200)],
      holders,
    ],
    [
      'two who hold it at a time, one for good',
      'overlap',
      [call(1, 'ann', 0), got(1, 2, 10n), call(2, 'bob', 20), got(2, 1_000_000, 11n)],
      holders,
    ],
    [
      'two who hold it at a time by an extension',
      'overlap',
      [call(1, 'ann', 0), got(1, 2, 10n, 100), more(1, 90, 190), call(2, 'bob', 20), got(2, 101, 11n, 300)],
      holders,
    ],
    [
      'two who hold it at a time, one of them twice',
      'overlap',
      [
        call(1, 'ann', 0),
        got(1, 2, 10n, 300),
        call(2, 'bob', 20),
        got(2, 30, 11n, 60),
        call(3, 'ann', 40),
        got(3, 41, 12n, 50),
      ],
      holders,
    ],
    [
      'a short hold within a long one that a third began after',
      'overlap',
      [
        call(1, 'ann', 0),
        got(1, 2, 10n, 300),
        call(2, 'ann', 3),
        got(2, 4, 10n, 5),
        call(3, 'bob', 40),
        got(3, 41, 12n, 50),
      ],
      holders,
    ],
    [
      'the order of tokens against that of holders whose calls overlap',
      'token-order',
      [call(1, 'ann', 0), call(2, 'bob', 1), got(1, 5, 9n, 20), end('released', 1, 6), got(2, 10, 8n, 30)],
      holders,
    ],
  ]
  it.each(bad)('rejects %s as %s', (_, kind, history, options) => {
    const { ok, violations } = checkLockHistory(history, options)
    expect(ok).toBe(false)
    const found = violations.find((one) => one.kind === kind)
    expect(found?.events.length).toBeGreaterThan(0)
    expect(violations.map((one) => one.kind)).toContain(kind)
  })

  it('tells at which events it went wrong, and in words', () => {
    const late = wrote(1, 20, 10n)
    expect(checkLockHistory([...handOver, late])).toMatchObject({
      grants: 2,
      writes: 3,
      violations: [
        {
          kind: 'stale-write',
          resource: 'r',
          message: 'r: token 10 was accepted after 11',
          events: [handOver[6], late],
        },
        { kind: 'interleaved', events: [handOver[2], handOver[6], late] },
      ],
    })
  })

  it('takes neither of two that happened at the same time for the first', () => {
    const asked = [call(1, 'ann', 0), got(1, 10, 9n, 20), call(2, 'bob', 10), got(2, 12, 8n, 30)]
    expect(kindsOf(asked)).toEqual([])
    expect(
      kindsOf(asked.map((event) => (event.hold === 2 ? { ...event, at: event.at + 1 } : event))),
    ).toEqual(['token-order'])
  })

  it('knows the order of what one hold did at the same time', () => {
    expect(kindsOf([...first, more(1, 9, 100)])).toEqual(['revived'])
  })

  it('tells each holder who overlaps with somebody, and of none with itself', () => {
    const overlaps = (...history: LockEvent[]) =>
      checkLockHistory(history, { ...holders, ...unfenced }).violations.map(({ events }) =>
        events.map(({ hold }) => hold),
      )
    const again = [1, 2, 3].flatMap((hold) => [
      call(hold, 'ann', hold),
      got(hold, hold, undefined, hold * 100),
    ])
    expect(overlaps(...again)).toEqual([])
    const [bob, eve] = [
      [call(4, 'bob', 4), got(4, 4, undefined, 250)],
      [call(5, 'ann', 5), got(5, 6, undefined, 10), call(6, 'ann', 7), got(6, 251, undefined, 260)],
    ]
    expect(overlaps(...again, ...bob, ...eve)).toEqual([
      [3, 4],
      [4, 5],
    ])
  })

  it('counts who was overtaken, by those who asked later', () => {
    const served = (order: readonly number[]) =>
      order.flatMap((hold, i) => [call(hold, `c${hold}`, hold), got(hold, 100 + i, BigInt(100 + i), 101 + i)])
    expect(checkLockHistory(served([1, 2, 3, 4]))).toMatchObject({ overtakings: 0, mostOvertaken: 0 })
    expect(checkLockHistory(served([2, 3, 4, 1]))).toMatchObject({ overtakings: 3, mostOvertaken: 3 })
    expect(checkLockHistory(served([4, 3, 2, 1]))).toMatchObject({ overtakings: 6, mostOvertaken: 3 })
    const atOnce = (event: LockEvent): LockEvent => ({
      ...event,
      at: event.kind === 'acquire' ? 0 : event.at,
    })
    expect(checkLockHistory(served([4, 3, 2, 1]).map(atOnce)).overtakings).toBe(0)
    const together = (event: LockEvent): LockEvent => ({
      ...event,
      at: event.kind === 'acquire' ? event.at : 100,
    })
    expect(checkLockHistory(served([4, 3, 2, 1]).map(together)).overtakings).toBe(0)
    // Whoever enters again passes nobody.
    const within = [call(3, 'ann', 5), got(3, 6, 10n, 100)]
    const waiting = [call(2, 'bob', 4), got(2, 101, 11n, 200)]
    expect(
      checkLockHistory([call(1, 'ann', 0), got(1, 2, 10n, 100), ...within, ...waiting]).overtakings,
    ).toBe(0)
  })

  const none: readonly [string, readonly LockEvent[]][] = [
    ['a hold that never called', [got(1, 2, 10n)]],
    ['a write of a hold that never called', [wrote(1, 2, 10n)]],
    ['a hold that called twice', [call(1, 'ann', 0), call(1, 'ann', 1)]],
    ['two grants of one hold', [call(1, 'ann', 0), got(1, 2, 10n), got(1, 3, 11n)]],
    ['a grant after a refusal', [call(1, 'ann', 0), end('refused', 1, 1), got(1, 3, 11n)]],
    ['a refusal after a grant', [call(1, 'ann', 0), got(1, 3, 11n), end('refused', 1, 4)]],
    ['time that goes back', [call(1, 'ann', 5), got(1, 3, 11n)]],
    ['no time', [call(1, 'ann', Number.NaN)]],
    ['an extension of what was not given', [call(1, 'ann', 0), more(1, 1, 5)]],
  ]
  it.each(none)('takes %s for no history', (_, history) => {
    expect(() => checkLockHistory(history)).toThrow(ConfigurationError)
  })

  it('refuses a word that it does not know', () => {
    const options = JSON.parse('{"exclusion":"all"}') as LockHistoryOptions
    expect(() => checkLockHistory([], options)).toThrow(ConfigurationError)
  })

  it('takes two hundred thousand events in seconds', () => {
    const history = Array.from({ length: 50_000 }, (_, i): readonly LockEvent[] => [
      call(i, `c${i % 50}`, i * 4),
      got(i, i * 4 + 1, BigInt(i), i * 4 + 3),
      wrote(i, i * 4 + 2, BigInt(i)),
      end('released', i, i * 4 + 2),
    ]).flat()
    const before = performance.now()
    expect(checkLockHistory(history, holders)).toMatchObject({ ok: true, grants: 50_000, writes: 50_000 })
    expect(performance.now() - before).toBeLessThan(5000)
  })
})

/** A lock that is right, in the order of its decisions: it serves one, who writes and leaves, and then the next. */
const turns = fc.array(
  fc.record({
    client: fc.constantFrom('ann', 'bob', 'eve'),
    askedBefore: fc.integer({ min: 1, max: 60 }),
    step: fc.integer({ min: 1, max: 3 }),
    writes: fc.integer({ min: 1, max: 3 }),
    ends: fc.constantFrom('released', 'lost', 'expired', 'extended', 'silent'),
    isFenceLate: fc.boolean(),
  }),
  { minLength: 3, maxLength: 25 },
)

function historyOf(given: typeof turns extends fc.Arbitrary<infer T> ? T : never): LockEvent[] {
  const history: LockEvent[] = []
  let now = 100
  let token = 0n
  let late: LockEvent | undefined
  for (const [hold, { client, askedBefore, step, writes, ends, isFenceLate }] of given.entries()) {
    token += BigInt(step)
    // Whoever never hears of its lock leaves a token that nobody has, and waits for its time to be over.
    history.push(call(hold, client, now - askedBefore))
    if (ends === 'silent') continue
    history.push(got(hold, now, token, now + 20))
    for (let i = 0; i < writes; i++) history.push(wrote(hold, now + 1 + i, token))
    if (late !== undefined) history.push(late)
    late = isFenceLate ? wrote(hold, now + 40, token, false) : undefined
    if (ends === 'extended') history.push(more(hold, now + 10, now + 30))
    if (ends === 'released' || ends === 'lost') history.push(end(ends, hold, now + 5))
    now += ends === 'extended' ? 31 : ends === 'expired' ? 21 : 6
  }
  return history
}

describe('a history of a lock that is right', () => {
  it('is accepted', () => {
    const always = fc.property(turns, (given) => {
      expect(checkLockHistory(historyOf(given), holders).violations).toEqual([])
    })
    expect(() => fc.assert(always, { numRuns: rounds(500, 50_000) })).not.toThrow('')
  })

  type Corruption = (history: LockEvent[], pick: (count: number) => number) => boolean
  const granted = (history: readonly LockEvent[]) =>
    history.flatMap((event, i) => (event.kind === 'acquired' ? [{ event, i }] : []))
  const put = (history: LockEvent[], at: number, change: object) => {
    history[at] = { ...history[at], ...change } as LockEvent
  }
  const corruptions: readonly (readonly [string, Corruption])[] = [
    [
      'two tokens changed for one another',
      (history, pick) => {
        const all = granted(history)
        if (all.length < 2) return false
        const a = pick(all.length - 1)
        const [one, two] = [all[a], all[a + 1 + pick(all.length - 1 - a)]]
        if (one === undefined || two === undefined) return false
        put(history, one.i, { token: two.event.token })
        put(history, two.i, { token: one.event.token })
        return true
      },
    ],
    [
      'a token that is given twice',
      (history, pick) => {
        const all = granted(history)
        const [one, two] = [all[pick(all.length - 1)], all.at(-1)]
        if (one === undefined || two === undefined || one === two) return false
        put(history, two.i, { token: one.event.token })
        return true
      },
    ],
    [
      'a write of an earlier holder at the end',
      (history, pick) => {
        const writes = history.filter((event) => event.kind === 'write' && event.accepted === true)
        const last = writes.at(-1)
        const others = writes.filter((event) => event.hold !== last?.hold)
        const again = others[pick(others.length)]
        if (again === undefined) return false
        history.push({ ...again, at: 1_000_000 })
        return true
      },
    ],
    [
      'a late write that was refused, accepted',
      (history, pick) => {
        const refused = history.flatMap((event, i) =>
          event.kind === 'write' && event.accepted === false ? [i] : [],
        )
        const at = refused[pick(refused.length)]
        if (at === undefined) return false
        put(history, at, { accepted: true })
        return true
      },
    ],
    [
      'a holder who stays while the next one comes',
      (history, pick) => {
        const all = granted(history)
        const at = pick(all.length - 1)
        const [one, next] = [all[at], all[at + 1]]
        if (one === undefined || next === undefined) return false
        const clientOf = (hold: LockEvent['hold']) =>
          history.flatMap((event) =>
            event.kind === 'acquire' && event.hold === hold ? [event.client] : [],
          )[0]
        if (clientOf(one.event.hold) === clientOf(next.event.hold)) return false
        const kept = history.filter(
          ({ kind, hold }) => hold !== one.event.hold || kind === 'acquire' || kind === 'acquired',
        )
        history.splice(0, history.length, ...kept)
        const again = history.indexOf(one.event)
        put(history, again, { until: next.event.at + 1 })
        return true
      },
    ],
    [
      'an extension that comes too late',
      (history, pick) => {
        const all = history.flatMap((event, i) => (event.kind === 'extended' ? [i] : []))
        const at = all[pick(all.length)]
        const event = history[at ?? -1]
        if (at === undefined || event?.kind !== 'extended') return false
        put(history, at, { at: event.at + 11 })
        return true
      },
    ],
    [
      'a write of who was not given the lock',
      (history, pick) => {
        const grants = granted(history)
        const one = grants[pick(grants.length)]
        if (one === undefined) return false
        history.splice(one.i, 1)
        const { hold } = one.event
        const kept = history.filter(
          (event) => event.hold !== hold || event.kind === 'acquire' || event.kind === 'write',
        )
        history.splice(0, history.length, ...kept)
        return true
      },
    ],
  ]
  it.each(corruptions)('is rejected with %s', (_, corrupt) => {
    let corrupted = 0
    const always = fc.property(turns, fc.infiniteStream(fc.nat()), (given, picks) => {
      const history = historyOf(given)
      const pick = (count: number) => (count <= 0 ? 0 : Number(picks.next().value) % count)
      if (!corrupt(history, pick)) return
      corrupted++
      expect(kindsOf(history, holders)).not.toEqual([])
    })
    fc.assert(always, { numRuns: rounds(300, 30_000) })
    expect(corrupted).toBeGreaterThan(100)
  })
})

describe('LockRecorder', () => {
  it('writes down what a lock and its holders do, by the clock that it is given', () => {
    let now = 0
    const recorder = new LockRecorder(() => now)
    const at = (ms: number) => {
      now = ms
    }
    const ann = recorder.acquiring('r', 'ann')
    at(2)
    ann.acquired({ token: 10n, remainingMs: () => 98 })
    at(5)
    ann.wrote(true)
    at(7)
    ann.extended({ remainingMs: () => 93 })
    const eve = recorder.acquiring('r', 'eve')
    at(9)
    eve.refused()
    ann.releasing()
    at(10)
    const bob = recorder.acquiring('r', 'bob')
    at(12)
    bob.acquired({ token: 11n, remainingMs: () => 88 })
    at(20)
    bob.lost()
    bob.wrote(false, 3n)
    expect(recorder.events).toEqual([
      call(0, 'ann', 0),
      got(0, 2, 10n, 100),
      wrote(0, 5, 10n),
      more(0, 7, 100),
      call(1, 'eve', 7),
      end('refused', 1, 9),
      end('released', 0, 9),
      call(2, 'bob', 10),
      got(2, 12, 11n, 100),
      end('lost', 2, 20),
      wrote(2, 20, 3n, false),
    ])
    expect(checkLockHistory(recorder.events, holders)).toMatchObject({ ok: true, grants: 2, writes: 1 })
  })
})
