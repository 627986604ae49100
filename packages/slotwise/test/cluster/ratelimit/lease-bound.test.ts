import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Lease } from '../../../src/ratelimit/lease.js'
import { checkedLease } from '../../../src/ratelimit/lease-terms.js'
import { Leases } from '../../../src/ratelimit/leases.js'
import type { Policy } from '../../../src/ratelimit/policy.js'
import { slidingLog, tokenBucket } from '../../../src/ratelimit/tiers.js'
import { rounds } from '../../support/budget.js'
import { memoryStage, policyOf, SCRIPTS, type Stage, Subject } from './stage.js'

let stage: Stage
beforeAll(() => {
  stage = memoryStage()
})
afterAll(() => stage.close())

interface Admitted {
  readonly atUs: number
  readonly tokens: number
}

/** What was admitted beyond `capacity + rate × t` in the worst interval, in microseconds of refill: exact, in integers. */
function excessUs(admitted: readonly Admitted[], capacity: number, intervalUs: number): number {
  let worst = Number.NEGATIVE_INFINITY
  for (const [from, { atUs }] of admitted.entries()) {
    let tokens = 0
    for (const one of admitted.slice(from)) {
      tokens += one.tokens
      worst = Math.max(worst, (tokens - capacity) * intervalUs - (one.atUs - atUs))
    }
  }
  return worst
}

const CAPACITY = 40
const INTERVAL_US = 1000
/** ε = 1/4. */
const FOR_US = 10_000
const MOST = 5
const policy: Policy<string> = policyOf([
  tokenBucket({ capacity: CAPACITY, refillPerSecond: 1e6 / INTERVAL_US }),
])

/** Who hoards waits, takes leases as late as is allowed, and spends all that is held and all that there is at once. */
const step = fc.record({
  process: fc.nat(3),
  waitUs: fc.oneof(fc.nat(FOR_US), fc.constantFrom(0, 1, FOR_US - 1, FOR_US, FOR_US + 1, INTERVAL_US)),
  act: fc.constantFrom('ask' as const, 'ask of all' as const, 'dump' as const, 'drain' as const),
  thereUs: fc.oneof(fc.constant(0), fc.nat(3000)),
  backUs: fc.oneof(fc.constant(0), fc.nat(30_000)),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** @param from when the time of a lease begins to count */
async function hoardAndDump(steps: readonly Step[], from: 'sent' | 'received'): Promise<number> {
  const subject = new Subject(stage, SCRIPTS)
  const holders = Array.from({ length: 4 }, () => new Lease(FOR_US / 1000))
  const admitted: Admitted[] = []
  let nowUs = 1_000_000_000_000
  const ask = async (holder: Lease, thereUs = 0, backUs = 0): Promise<boolean> => {
    const sentAtMs = nowUs / 1000
    nowUs += thereUs
    const { verdict, standings } = await subject.decide(policy, [MOST], BigInt(nowUs))
    nowUs += backUs
    if (verdict !== 'admitted') return false
    const receivedAtMs = nowUs / 1000
    const heard = { receivedAtMs, standings, blockedUs: 0, wasShort: false }
    holder.granted(MOST, { ...heard, sentAtMs: from === 'sent' ? sentAtMs : receivedAtMs })
    return true
  }
  const dump = (holder: Lease): void => {
    const tokens = holder.held(nowUs / 1000)
    if (tokens > 0 && holder.take(tokens, nowUs / 1000) !== undefined) admitted.push({ atUs: nowUs, tokens })
  }
  for (const { process, waitUs, act, thereUs, backUs } of steps) {
    nowUs += waitUs
    const [holder = new Lease(1)] = holders.slice(process)
    if (act === 'ask') await ask(holder, thereUs, backUs)
    else if (act === 'ask of all') for (const one of holders) await ask(one)
    else if (act === 'dump') dump(holder)
    else {
      while (await ask(holder));
      holders.forEach(dump)
    }
  }
  return excessUs(admitted, CAPACITY, INTERVAL_US)
}

const histories = fc.array(step, { minLength: 5, maxLength: 60 })

describe('what any number of processes admit from leases in any t is at most C + r × t + r × λ', () => {
  it('against who hoards and dumps', { timeout: rounds(30_000, 600_000) }, async () => {
    let worst = Number.NEGATIVE_INFINITY
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        const excess = await hoardAndDump(steps, 'sent')
        worst = Math.max(worst, excess)
        expect(excess).toBeLessThan(FOR_US)
      }),
      { numRuns: rounds(150, 5000) },
    )
    // It is no idle bound: they do exceed what a bucket alone would admit.
    expect(worst).toBeGreaterThan(0)
  })

  it('which does not hold where the time of a lease counts from its answer', async () => {
    const holds = fc.asyncProperty(
      histories,
      async (steps) => (await hoardAndDump(steps, 'received')) < FOR_US,
    )
    expect((await fc.check(holds, { numRuns: 2000 })).failed).toBe(true)
  })

  it('between limiters in four processes, whatever the answers take', {
    timeout: rounds(30_000, 600_000),
  }, async () => {
    const bursts = fc.array(
      fc.record({
        process: fc.nat(3),
        waitUs: fc.oneof(fc.nat(FOR_US), fc.constantFrom(0, FOR_US - 1, FOR_US, 40 * INTERVAL_US)),
        times: fc.integer({ min: 1, max: 20 }),
        cost: fc.integer({ min: 1, max: 3 }),
        lagUs: fc.oneof(fc.constant(0), fc.nat(12_000)),
      }),
      { minLength: 5, maxLength: 50 },
    )
    let leased = 0
    await fc.assert(
      fc.asyncProperty(bursts, async (all) => {
        const subject = new Subject(stage, SCRIPTS)
        let nowUs = 1_000_000_000_000
        let lagUs = 0
        const processes = Array.from(
          { length: 4 },
          () =>
            new Leases<string>(checkedLease({ epsilon: 0.25 }), {
              now: () => nowUs / 1000,
              ask: async (_key, _policy, costs) => {
                nowUs += lagUs / 2
                const answer = await subject.decide(policy, costs, BigInt(Math.floor(nowUs)))
                nowUs += lagUs / 2
                return answer
              },
            }),
        )
        const admitted: Admitted[] = []
        for (const { process, waitUs, times, cost, lagUs: lag } of all) {
          nowUs += waitUs
          lagUs = 2 * Math.floor(lag / 2)
          for (let i = 0; i < times; i++) {
            const decision = await processes[process]?.decide(subject.key, policy, [cost])
            if (decision !== undefined && 'leased' in decision) {
              leased += cost
              admitted.push({ atUs: nowUs, tokens: cost })
            } else if (decision === undefined) {
              const { verdict } = await subject.decide(policy, [cost], BigInt(nowUs))
              if (verdict === 'admitted') admitted.push({ atUs: nowUs, tokens: cost })
            }
          }
        }
        expect(excessUs(admitted, CAPACITY, INTERVAL_US)).toBeLessThan(FOR_US)
      }),
      { numRuns: rounds(80, 3000) },
    )
    expect(leased).toBeGreaterThan(100)
  })
})

it('of a log holds at most its limit in any time as long as its window less a lease', {
  timeout: rounds(30_000, 600_000),
}, async () => {
  const [windowUs, forMs, limit] = [100_000, 20, 40]
  const logs = policyOf([slidingLog({ limit, windowMs: windowUs / 1000 })])
  const bursts = fc.array(
    fc.record({
      process: fc.nat(3),
      waitUs: fc.oneof(fc.nat(20_000), fc.constantFrom(0, 19_999, 20_000, 80_000, 100_000)),
      times: fc.integer({ min: 1, max: 15 }),
    }),
    { minLength: 10, maxLength: 60 },
  )
  let leased = 0
  await fc.assert(
    fc.asyncProperty(bursts, async (all) => {
      const subject = new Subject(stage, SCRIPTS)
      let nowUs = 1_000_000_000_000
      const decide = (costs: readonly number[]) => subject.decide(logs, costs, BigInt(nowUs))
      const processes = Array.from(
        { length: 4 },
        () =>
          new Leases<string>(checkedLease({ forMs }), {
            now: () => nowUs / 1000,
            ask: (_key, _policy, costs) => decide(costs),
          }),
      )
      const admitted: number[] = []
      for (const { process, waitUs, times } of all) {
        nowUs += waitUs
        for (let i = 0; i < times; i++) {
          const decision = await processes[process]?.decide(subject.key, logs, [1])
          const isLeased = decision !== undefined && 'leased' in decision
          if (isLeased) leased++
          const isExact = decision === undefined && (await decide([1])).verdict === 'admitted'
          if (isLeased || isExact) admitted.push(nowUs)
        }
      }
      for (const [i, from] of admitted.entries()) {
        const next = admitted[i + limit]
        if (next !== undefined) expect(next - from).toBeGreaterThanOrEqual(windowUs - forMs * 1000)
      }
    }),
    { numRuns: rounds(60, 3000) },
  )
  expect(leased).toBeGreaterThan(100)
})

/** A bucket that takes back what is given back, as plain arithmetic. */
class Bucket {
  #debtUs = 0
  #atUs = 0

  take(tokens: number, nowUs: number): boolean {
    this.#debtUs = Math.max(0, this.#debtUs - (nowUs - this.#atUs))
    this.#atUs = nowUs
    if (this.#debtUs + tokens * INTERVAL_US > CAPACITY * INTERVAL_US) return false
    this.#debtUs += tokens * INTERVAL_US
    return true
  }

  giveBack(tokens: number, nowUs: number): void {
    this.take(0, nowUs)
    this.#debtUs = Math.max(0, this.#debtUs - tokens * INTERVAL_US)
  }
}

/** Holders that, one after the other, ask anew just before their lease ends, so that the bucket never gets full. */
function sawtooth(leftovers: 'dropped' | 'returned'): number {
  const bucket = new Bucket()
  const holders = Array.from({ length: 4 }, () => new Lease(FOR_US / 1000))
  const admitted: Admitted[] = []
  let nowUs = 1_000_000
  for (let turn = 0; turn < 100; turn++) {
    const [holder = new Lease(1)] = holders.slice(turn % 4)
    const tokens = holder.held(nowUs / 1000)
    holder.drop()
    if (leftovers === 'returned') bucket.giveBack(tokens, nowUs)
    if (bucket.take(MOST, nowUs)) {
      const at = { sentAtMs: nowUs / 1000, receivedAtMs: nowUs / 1000 }
      holder.granted(MOST, { ...at, standings: [], blockedUs: 0, wasShort: false })
    }
    nowUs += FOR_US / 4 - 1
  }
  for (const holder of holders) admitted.push({ atUs: nowUs, tokens: holder.held(nowUs / 1000) })
  while (bucket.take(1, nowUs)) admitted.push({ atUs: nowUs, tokens: 1 })
  return excessUs(admitted, CAPACITY, INTERVAL_US)
}

describe('what is left at the end of a lease', () => {
  it('is dropped, by which the bound holds', () => {
    expect(sawtooth('dropped')).toBeLessThan(FOR_US)
  })

  it('would break it if it were returned', () => {
    expect(sawtooth('returned')).toBeGreaterThanOrEqual(FOR_US)
  })
})
