import fc from 'fast-check'
import { decodeList } from 'structured-field-values'
import { describe, expect, it } from 'vitest'
import type { TierDescription, TierKind, TierState } from '../../../src/ratelimit/decision.js'
import { limitField, policyField, policyName, type QuotaUnit } from '../../../src/ratelimit/http/fields.js'

const KINDS: readonly TierKind[] = [
  'token-bucket',
  'fixed-window',
  'sliding-window',
  'sliding-log',
  'concurrency',
]
const LARGEST = 999_999_999_999_999

/** Read by another library than the one that wrote it. */
function read(field: string): { name: string; parameters: Record<string, unknown> }[] {
  const list = decodeList(field) as { value: unknown; params: Record<string, unknown> | null }[]
  return list.map(({ value, params }) => {
    expect(typeof value).toBe('string')
    return { name: String(value), parameters: params ?? {} }
  })
}

const names = (max = 5) =>
  fc.uniqueArray(fc.string({ unit: 'binary', minLength: 0, maxLength: 20 }), { minLength: 1, maxLength: max })
const amount = fc.oneof(fc.nat(1000), fc.maxSafeNat())
const none = new Map<string, QuotaUnit>()
const unbounded = { timeless: new Set<string>(), latest: Infinity, maxPerSecond: Infinity }

const tiers: fc.Arbitrary<TierDescription[]> = names().chain((all) =>
  fc.tuple(
    ...all.map((name) =>
      fc.record({
        name: fc.constant(name),
        kind: fc.constantFrom(...KINDS),
        limit: amount,
        windowMs: fc.integer({ min: 1, max: 2 ** 45 }),
      }),
    ),
  ),
)
const states: fc.Arbitrary<TierState[]> = names().chain((all) =>
  fc.tuple(
    ...all.map((name) =>
      fc.record({
        name: fc.constant(name),
        limit: amount,
        remaining: amount,
        resetMs: amount,
        nextMs: fc.nat(2 ** 31 - 1),
      }),
    ),
  ),
)

describe('RateLimit-Policy', () => {
  it('is what the draft shows', () => {
    const burst = { name: 'burst', kind: 'fixed-window', limit: 100, windowMs: 60_000 } as const
    const daily = { name: 'daily', kind: 'sliding-window', limit: 1000, windowMs: 86_400_000 } as const
    const bytes = { name: 'peruser', kind: 'fixed-window', limit: 65_535, windowMs: 10_000 } as const
    expect(policyField([burst, daily], none)).toBe('"burst";q=100;w=60, "daily";q=1000;w=86400')
    expect(policyField([bytes], new Map([['peruser', 'content-bytes']]))).toBe(
      '"peruser";q=65535;qu="content-bytes";w=10',
    )
  })

  it('has no window below a second, rounds up one that is no whole number of them, and none of concurrency', () => {
    const tier = (windowMs: number, kind: TierKind = 'fixed-window') => ({
      name: 'a',
      kind,
      limit: 5,
      windowMs,
    })
    expect(policyField([tier(1)], none)).toBe('"a";q=5')
    expect(policyField([tier(999)], none)).toBe('"a";q=5')
    expect(policyField([tier(1000)], none)).toBe('"a";q=5;w=1')
    expect(policyField([tier(1001)], none)).toBe('"a";q=5;w=2')
    expect(policyField([tier(30_000, 'concurrency')], none)).toBe('"a";q=5;qu="concurrent-requests"')
  })

  it('of any policy is read by another parser as what it says', () => {
    fc.assert(
      fc.property(tiers, (all) => {
        const found = read(policyField(all, none))
        expect(found.map(({ name }) => name)).toEqual(all.map(({ name }) => policyName(name)))
        for (const [i, { kind, limit, windowMs }] of all.entries()) {
          const { q, qu, w, ...more } = found[i]?.parameters ?? {}
          expect(more).toEqual({})
          expect(q).toBe(Math.min(limit, LARGEST))
          expect(qu).toBe(kind === 'concurrency' ? 'concurrent-requests' : undefined)
          const isTold = kind !== 'concurrency' && windowMs >= 1000
          expect(w).toBe(isTold ? Math.ceil(windowMs / 1000) : undefined)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('RateLimit', () => {
  it('is what the draft shows', () => {
    const state = { name: 'default', limit: 100, remaining: 50, resetMs: 59_000, nextMs: 30_000 }
    expect(limitField([state], unbounded)).toBe('"default";r=50;t=30')
    expect(limitField([{ ...state, remaining: 999, nextMs: 0 }], unbounded)).toBe('"default";r=999')
  })

  it('tells the time until anything comes back, never a time that is too early', () => {
    const state = { name: 'a', limit: 100, remaining: 0, resetMs: 600_000, nextMs: 1 }
    expect(limitField([state], unbounded)).toBe('"a";r=0;t=1')
    expect(limitField([{ ...state, nextMs: 1001 }], unbounded)).toBe('"a";r=0;t=2')
  })

  it('of any state is read by another parser as what it says', () => {
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 1e6 }),
        (all, latest, maxPerSecond) => {
          const timeless = new Set(all.slice(0, 1).map(({ name }) => name))
          const found = read(limitField(all, { timeless, latest, maxPerSecond }))
          expect(found.map(({ name }) => name)).toEqual(all.map(({ name }) => policyName(name)))
          for (const [i, { name, remaining, nextMs }] of all.entries()) {
            const { r, t, ...more } = found[i]?.parameters ?? {}
            expect(more).toEqual({})
            const next = Math.ceil(nextMs / 1000)
            expect(r).toBe(Math.min(remaining, maxPerSecond * Math.max(1, next), LARGEST))
            expect(t).toBe(next === 0 || next > latest || timeless.has(name) ? undefined : next)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('the name of a policy', () => {
  it('stays as it is where it can, and different names stay different', () => {
    expect(policyName('per minute: "a\\b"')).toBe('per minute: "a\\b"')
    expect(policyName('pro Stück')).toBe('pro St%c3%bcck')
    expect(policyName('50%')).toBe('50%25')
    expect(policyName('a\r\nb')).toBe('a%0d%0ab')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(policyName(a)).toMatch(/^[ -~]*$/)
        if (a !== b) expect(policyName(a)).not.toBe(policyName(b))
      }),
    )
  })
})
