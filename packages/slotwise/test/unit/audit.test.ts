import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Agenda } from '../../src/cache/audit/agenda.js'
import { History, type HistoryKind } from '../../src/cache/audit/history.js'
import { type AuditOptions, auditSettings } from '../../src/cache/audit/options.js'
import { Sample } from '../../src/cache/audit/sample.js'
import { printOf } from '../../src/cache/audit/sight.js'
import { because, differenceOf } from '../../src/cache/audit/verdict.js'
import { ConfigurationError } from '../../src/errors.js'
import { measure } from '../../src/measure.js'
import { publish } from '../../src/telemetry.js'

describe('options of an audit', () => {
  const bad: readonly (readonly [keyof AuditOptions<unknown>, unknown])[] = [
    ...[0, 1_000_001, 1.5].map((value) => ['ppm', value] as const),
    ...[[], [0], [1.5], 'x', Array(9).fill(1)].map((value) => ['windowsMs', value] as const),
    ...[0, 2 ** 31].flatMap((value) => [['confirmAfterMs', value] as const, ['deadlineMs', value] as const]),
    ['maxKeys', 0],
    ['maxConcurrent', 0],
    ['load', undefined],
  ]
  it.each(bad)('are refused: %s %j', (option, value) => {
    const options = { load: () => '', [option]: value } as AuditOptions<string>
    expect(() => auditSettings(options, 0)).toThrow(ConfigurationError)
    expect(() => auditSettings(options, 0)).toThrow(option)
  })

  it('look a second, ten and a minute later, and again after longer than a hit may be behind', () => {
    expect(auditSettings({ load: () => '' }, 0)).toMatchObject({
      ppm: 100,
      windowsMs: [1000, 10_000, 60_000],
      confirmAfterMs: 1000,
    })
    expect(auditSettings({ load: () => '' }, 5000).confirmAfterMs).toBe(10_000)
  })
})

describe('the sample of keys', () => {
  const keys = Array.from({ length: 100_000 }, (_, i) => `shop:cache:users:{@acme:${i}:profile}`)
  const picked = (sample: Sample) => keys.filter((key) => sample.has(key))

  it('is a share of them, the same in every process, and another one each hour', () => {
    const [one, other] = [new Sample(10_000), new Sample(10_000)]
    const now = Date.UTC(2030, 0, 1)
    one.turn(now)
    other.turn(now + 3_599_999)
    const first = picked(one)
    expect(first.length).toBeGreaterThan(850)
    expect(first.length).toBeLessThan(1150)
    expect(picked(other)).toEqual(first)
    one.turn(now + 3_600_000)
    const kept = picked(one).filter((key) => first.includes(key))
    expect(kept.length).toBeLessThan(50)
  })
})

describe('the agenda', () => {
  it('does what is due in its order, so many at a time, and nothing after it is closed', async () => {
    const done: string[] = []
    const [now, most] = [{ running: 0 }, { running: 0 }]
    const agenda = new Agenda<string>(2, async (what, lateMs) => {
      expect(lateMs).toBeGreaterThanOrEqual(0)
      most.running = Math.max(most.running, ++now.running)
      await sleep(5)
      done.push(what)
      now.running--
    })
    agenda.plan('third', 60)
    agenda.plan('fourth', 60)
    agenda.plan('fifth', 60)
    agenda.plan('first', 10)
    await sleep(2)
    agenda.plan('second', 10)
    await expect.poll(() => done.length, { interval: 5 }).toBe(5)
    expect(done).toEqual(['first', 'second', 'third', 'fourth', 'fifth'])
    expect(most.running).toBe(2)
    agenda.plan('never', 5)
    agenda.close()
    agenda.plan('never', 5)
    await sleep(20)
    expect(done).toHaveLength(5)
  })
})

describe('the history of a key', () => {
  it('holds its last events, the same ones in a row as one', () => {
    const history = new History()
    for (let i = 0; i < 1000; i++) history.add('hit', i, 'a')
    history.add('hit', 1000, 'b')
    history.add('invalidate', 1001)
    expect(history.events()).toEqual([
      { kind: 'hit', at: 0, lastAt: 999, times: 1000, version: 'a' },
      { kind: 'hit', at: 1000, lastAt: 1000, times: 1, version: 'b' },
      { kind: 'invalidate', at: 1001, lastAt: 1001, times: 1, version: undefined },
    ])
    for (let i = 0; i < 100; i++) history.add(i % 2 === 0 ? 'hit' : 'proof', i)
    expect(history.events()).toHaveLength(32)
    expect(history.events().at(-1)?.at).toBe(99)
  })

  const story = (...events: readonly (readonly [HistoryKind, number, string?])[]) => {
    const history = new History()
    for (const [kind, at, version] of events) history.add(kind, at, version)
    return history.events()
  }
  const inRedis = { where: 'redis', version: 'v', storedAt: 100 } as const

  it.each([
    ['invalidation-lost', story(['fill', 90, 'v'], ['hit', 95], ['invalidate', 120])],
    ['invalidation-lost', story(['invalidate', 120])],
    ['invalidation-lost', story(['hit', 95], ['tag', 120])],
    ['invalidation-lost', story(['invalidate', 50], ['write', 150])],
    // It was stored by this process, before the reckoning by the server's clock says so.
    ['invalidation-lost', story(['fill', 90, 'v'], ['invalidate', 95])],
    ['filled-with-old', story(['invalidate', 80], ['fill', 90, 'v'], ['hit', 200])],
    ['filled-with-old', story(['fill', 50, 'another'], ['invalidate', 80])],
    ['never-invalidated', story(['fill', 90, 'v'], ['hit', 200], ['news', 300])],
    ['never-invalidated', story()],
  ] as const)('explains a difference: %s', (reason, events) => {
    expect(because(inRedis, events)).toBe(reason)
  })

  it('explains what only this process serves', () => {
    const difference = { where: 'local', version: 'v', storedAt: undefined } as const
    expect(because(difference, story(['invalidate', 1]))).toBe('held-too-long')
  })
})

describe('what readers would get', () => {
  const redis = (print: string) => ({ version: 'r', print, storedAt: 1, tags: [] })
  const local = (print: string) => ({ version: 'l', print })

  it('differs from the origin where any of it does, Redis first', () => {
    expect(differenceOf({ redis: redis('a'), local: local('a') }, 'a')).toBeUndefined()
    expect(differenceOf({ redis: undefined, local: undefined }, 'a')).toBeUndefined()
    expect(differenceOf({ redis: redis('b'), local: local('b') }, 'a')).toMatchObject({ where: 'redis' })
    expect(differenceOf({ redis: redis('a'), local: local('b') }, 'a')).toMatchObject({ where: 'local' })
    expect(differenceOf({ redis: undefined, local: local('b') }, 'a')).toMatchObject({ version: 'l' })
  })

  it('is told apart by all that is in it, and by nothing else', () => {
    const value = { a: [1, { b: 'x'.repeat(20_000) }], at: new Date(5), map: new Map([['k', 1n]]) }
    const same = { map: new Map([['k', 1n]]), at: new Date(5), a: [1, { b: 'x'.repeat(20_000) }] }
    expect(printOf(value)).toBe(printOf(same))
    const others: unknown[] = [
      { ...value, at: new Date(6) },
      { ...value, map: new Map([['k', 1]]) },
      { ...value, a: [1, { b: `${'x'.repeat(19_999)}y` }] },
      { ...value, a: [...Array(500).keys()] },
      { ...value, a: [...Array(500).keys(), 7] },
      null,
      'null',
      1,
      '1',
    ]
    expect(new Set([value, ...others].map(printOf)).size).toBe(others.length + 1)
  })
})

describe('the looks of audits', () => {
  it('are counted by window and outcome, and by no key', () => {
    const seen: unknown[] = []
    const stop = measure((...one) => seen.push(one), { perNode: true })
    const look = {
      name: 'users',
      key: 'shop:cache:users:{7}',
      where: undefined,
      because: undefined,
      durationMs: 1,
    }
    publish('slotwise:cache:audit', () => ({ ...look, windowMs: 60_000, outcome: 'consistent' }))
    publish('slotwise:cache:audit', () => ({ ...look, windowMs: 500, outcome: 'moving' }))
    stop()
    expect(seen).toEqual([
      ['slotwise.cache.audit.looks', 1, { name: 'users', window: '60s', outcome: 'consistent' }],
      ['slotwise.cache.audit.looks', 1, { name: 'users', window: '0.5s', outcome: 'moving' }],
    ])
  })
})
