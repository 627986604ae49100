import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Lock, Locks } from '../../../src/lock/index.js'
import { rounds } from '../../support/budget.js'
import { settled, VirtualTime } from '../../support/virtual-clocks.js'
import { MOODS, VotingNode } from '../../support/voting-node.js'

const MAX_TTL_MS = 1000
/** Of the contenders. The third one's is too wrong to get a lock, and right enough to spoil those of others. */
const SKEWS_MS = [0, 490, -490, 1500] as const

type Step =
  | {
      readonly kind: 'acquire'
      readonly by: number
      readonly ttlMs: number
      /** Of each node, while it is asked, as a number of {@link MOODS}. */
      readonly moods: readonly number[]
      /** Or they stay so until somebody asks again. */
      readonly recovers: boolean
    }
  | { readonly kind: 'extend' | 'release'; readonly which: number }
  | { readonly kind: 'pass'; readonly ms: number }
  /** Started anew without what they had, those whose bit is set. */
  | { readonly kind: 'forget'; readonly nodes: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('acquire' as const),
      by: fc.nat(SKEWS_MS.length - 1),
      ttlMs: fc.integer({ min: 300, max: MAX_TTL_MS }),
      moods: fc.array(
        fc.oneof(
          { weight: 5, arbitrary: fc.constant(0) },
          { weight: 2, arbitrary: fc.nat(MOODS.length - 1) },
        ),
        { minLength: 5, maxLength: 5 },
      ),
      recovers: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('extend' as const, 'release' as const), which: fc.nat(3) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 300, max: 2500 })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('forget' as const), nodes: fc.integer({ min: 1, max: 31 }) }),
  },
)

/** Runs a history; what was wrong in it, and how many locks were given. */
async function run(count: number, history: readonly Step[]): Promise<{ wrong?: string; acquired: number }> {
  const time = new VirtualTime()
  const nodes = Array.from({ length: count }, () => new VotingNode(time))
  const ports = nodes.map(({ port }) => port)
  const contenders = SKEWS_MS.map((skewMs) =>
    Locks.redlock(ports, { name: 'test', maxTtlMs: MAX_TTL_MS, onError: () => {} }, time.clocks({ skewMs })),
  )
  await Promise.all(contenders.map((locks) => locks.ready()))
  const held: Lock[] = []
  let last = 0n
  let acquired = 0
  for (const one of history) {
    if (one.kind === 'pass') await time.advance(one.ms)
    else if (one.kind === 'forget') {
      nodes.forEach(({ redis }, i) => {
        if ((one.nodes >> i) % 2 === 1) redis.restartEmpty()
      })
    } else if (one.kind === 'acquire') {
      for (const node of nodes) node.recover()
      nodes.forEach((node, i) => {
        node.mood = MOODS[one.moods[i] ?? 0] ?? 'answers'
      })
      const asking = contenders[one.by]?.tryAcquire('r', { ttlMs: one.ttlMs })
      // As long as two rounds take.
      await time.advance(110)
      if (one.recovers) for (const node of nodes) node.recover()
      await Promise.all(nodes.map((node) => node.deliver()))
      await settled()
      const answer = await Promise.race([asking, settled()])
      if (answer === undefined) return { acquired, wrong: 'undecided after two rounds' }
      if (!answer.acquired) continue
      acquired++
      const { lock } = answer
      if (lock.token <= last) return { acquired, wrong: `token ${lock.token} after ${last}` }
      last = lock.token
      if (held.some((other) => other.remainingMs() > 0) && lock.remainingMs() > 0)
        return { acquired, wrong: 'two holders at a time' }
      held.push(lock)
    } else {
      const lock = held[held.length - 1 - one.which]
      void (one.kind === 'extend' ? lock?.extend().catch(() => {}) : lock?.release())
      await settled()
    }
  }
  return { acquired }
}

describe('a majority of nodes that hang, forget and answer late', () => {
  it.each([3, 4, 5])(
    'never has two holders, and never takes a token back, of %i nodes',
    async (count) => {
      let acquired = 0
      const holds = fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 20 }), async (history) => {
          const outcome = await run(count, history)
          acquired += outcome.acquired
          return outcome.wrong === undefined
        }),
        { numRuns: rounds(60, 10_000) },
      )
      await expect(holds).resolves.toBeUndefined()
      expect(acquired).toBeGreaterThan(rounds(60, 10_000) / 2)
    },
    120_000,
  )
})
