import fc from 'fast-check'

/** What happens to a subject, one after the other. Waits are parts in a thousand of the longest window. */
export type Step =
  | {
      readonly kind: 'consume'
      readonly wait: number
      readonly costs: readonly number[]
      readonly again: boolean
      /** By how much the clock of the process is wrong, by which it chooses windows of the calendar. */
      readonly skew: number
      /** Whether it may be repeated. */
      readonly keeps: boolean
    }
  /** At once; or in the last microsecond in which it is known, and in the next. */
  | { readonly kind: 'repeat'; readonly wait: number; readonly which: number; readonly isLate: boolean }
  /** For so long, in parts in a thousand as waits are; 0 ends it. */
  | { readonly kind: 'block'; readonly wait: number; readonly long: number }
  | { readonly kind: 'penalize'; readonly wait: number; readonly costs: readonly number[] }
  | { readonly kind: 'refund'; readonly wait: number; readonly which: number }
  | { readonly kind: 'renew'; readonly wait: number; readonly which: number; readonly skew: number }
  | { readonly kind: 'turn'; readonly wait: number }
  | { readonly kind: 'change' }

export const costs = fc.array(fc.nat(6), { minLength: 4, maxLength: 4 })
const skew = fc.constantFrom(0, 0, 0, -1000, -2500, 1000)
/** Waits of which most leave something used. */
export const wait = fc.oneof(
  { weight: 12, arbitrary: fc.nat(150) },
  { weight: 3, arbitrary: fc.nat(1500) },
  { weight: 1, arbitrary: fc.constant(0) },
)

/** Histories of 50 requests and more. `calm` ones have nothing but requests. */
export const histories = (kinds: readonly Step['kind'][]): fc.Arbitrary<readonly Step[]> => {
  const others: Readonly<Record<Exclude<Step['kind'], 'consume'>, fc.Arbitrary<Step>>> = {
    penalize: fc.record({ kind: fc.constant('penalize' as const), wait, costs }),
    refund: fc.record({ kind: fc.constant('refund' as const), wait, which: fc.nat(9) }),
    renew: fc.record({
      kind: fc.constant('renew' as const),
      wait,
      which: fc.nat(3),
      skew: fc.constantFrom(0, -300, -600, -1000, 1000),
    }),
    turn: fc.record({ kind: fc.constant('turn' as const), wait: fc.integer({ min: -3000, max: 3000 }) }),
    change: fc.record({ kind: fc.constant('change' as const) }),
    repeat: fc.record({ kind: fc.constant('repeat' as const), wait, which: fc.nat(9), isLate: fc.boolean() }),
    block: fc.record({
      kind: fc.constant('block' as const),
      wait,
      long: fc.oneof(fc.constant(0), fc.nat(300), fc.integer({ min: 1000, max: 2500 })),
    }),
  }
  const consume = fc.record({
    kind: fc.constant('consume' as const),
    wait,
    costs,
    again: fc.boolean(),
    skew,
    keeps: fc.boolean(),
  })
  const more = kinds.flatMap((kind) => (kind === 'consume' ? [] : [{ weight: 1, arbitrary: others[kind] }]))
  return fc.array(fc.oneof({ weight: 12, arbitrary: consume }, ...more), {
    minLength: 52 + 4 * more.length,
    maxLength: 62 + 4 * more.length,
  })
}
