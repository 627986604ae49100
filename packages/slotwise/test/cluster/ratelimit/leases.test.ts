import { beforeEach, describe, expect, it } from 'vitest'
import { RedisUnavailableError } from '../../../src/errors.js'
import { checkedLease, leaseTerms } from '../../../src/ratelimit/lease-terms.js'
import { Leases } from '../../../src/ratelimit/leases.js'
import { tokenBucket } from '../../../src/ratelimit/tiers.js'
import { memoryStage, policyOf, SCRIPTS, Subject } from './stage.js'

/** 1000 a second, and a lease of 50 ms for up to 25 tokens. */
const policy = policyOf([tokenBucket({ capacity: 1000, refillPerSecond: 1000 })])
const FOR_MS = 50

let nowMs = 0
beforeEach(() => {
  nowMs = 1_000_000
})

/** A process by a clock of ours, which asks a bucket `thereMs` away. */
function stage({
  thereMs = 0,
  auto = undefined as { abovePerSecond: number } | undefined,
  maxSubjects = 10,
} = {}) {
  const redis = memoryStage()
  const subjects = new Map<string, Subject>()
  const network = { isAway: false, thereMs }
  const heard: string[] = []
  const process = () =>
    new Leases<string>(checkedLease({ epsilon: 0.05, auto, maxSubjects }), {
      now: () => nowMs,
      heard: (_, kind) => heard.push(kind),
      ask: async (key, _policy, costs) => {
        nowMs += network.thereMs
        if (network.isAway) throw new RedisUnavailableError('away')
        const subject = subjects.get(key)
        if (subject === undefined) throw new Error('nobody')
        return await subject.decide(policy, costs, BigInt(Math.round(nowMs * 1000)))
      },
    })
  const someone = (): Subject => {
    const subject = new Subject(redis, SCRIPTS)
    subjects.set(subject.key, subject)
    return subject
  }
  return { process, someone, network, heard }
}

/** Asks `perMs` in each of so many milliseconds; how many were admitted, and by whom. */
async function traffic(leases: Leases<string>, subject: Subject, ms: number, perMs: number) {
  const seen = { lease: 0, exact: 0, refused: 0 }
  for (let i = 0; i < ms; i++) {
    nowMs = Math.floor(nowMs) + 1
    for (let j = 0; j < perMs; j++) {
      const decision = await leases.decide(subject.key, policy, [1])
      if (decision !== undefined && 'leased' in decision) seen.lease++
      else if (decision !== undefined) seen.refused++
      else if ((await subject.decide(policy, [1], BigInt(nowMs * 1000))).verdict === 'admitted') seen.exact++
      else seen.refused++
    }
  }
  return seen
}

/** Until it is hot and has a lease. */
const warm = (leases: Leases<string>, subject: Subject) => traffic(leases, subject, 20, 1)

describe('leases', () => {
  it('last for ε × capacity / rate, and hold half of what may be exceeded', () => {
    expect(leaseTerms(policy, { epsilon: 0.05 })).toEqual({ forMs: FOR_MS, most: 25, hotFrom: 4 })
    const two = policyOf([
      tokenBucket({ capacity: 1000, refillPerSecond: 1000 }),
      tokenBucket({ capacity: 5000, refillPerSecond: 100 }),
    ])
    expect(leaseTerms(two, { epsilon: 0.05, auto: { abovePerSecond: 1000 } })).toEqual({
      forMs: FOR_MS,
      most: 25,
      hotFrom: 50,
    })
  })

  it('count their time from before they were asked for, however long the answer takes', async () => {
    const { process, someone, network } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    nowMs += FOR_MS
    network.thereMs = 30
    const sentAtMs = nowMs
    expect(await leases.decide(subject.key, policy, [1])).toMatchObject({ leased: true })
    const { held } = leases.stats()
    nowMs = sentAtMs + FOR_MS - 1
    expect(leases.stats().held).toBe(held)
    expect(held).toBeGreaterThan(0)
    nowMs = sentAtMs + FOR_MS
    expect(leases.stats().held).toBe(0)
  })

  it('are for subjects that are asked for often, and heard of', async () => {
    const { process, someone, heard } = stage({ auto: { abovePerSecond: 400 } })
    const [leases, subject] = [process(), someone()]
    for (let i = 0; i < 50; i++) {
      nowMs += 5
      expect(await leases.decide(subject.key, policy, [1])).toBeUndefined()
    }
    expect(heard).toEqual([])
    expect((await traffic(leases, subject, 200, 1)).lease).toBeGreaterThan(150)
    expect(heard[0]).toBe('hot')
    // Less, but not half: it does not change back and forth.
    for (let i = 0; i < 100; i++) {
      nowMs += 3
      await leases.decide(subject.key, policy, [1])
    }
    expect(heard).not.toContain('cold')
    for (let i = 0; i < 50; i++) {
      nowMs += 10
      await leases.decide(subject.key, policy, [1])
    }
    expect(heard.filter((kind) => kind === 'hot' || kind === 'cold')).toEqual(['hot', 'cold'])
    expect(leases.stats().hot).toBe(0)
  })

  it('drop nothing at a steady demand, and ask more than twenty times less', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    const before = leases.stats()
    const { lease, refused } = await traffic(leases, subject, 1000, 1)
    const { asked, dropped } = leases.stats()
    expect({ lease, refused }).toEqual({ lease: 1000, refused: 0 })
    expect(asked - before.asked).toBeLessThan(1000 / 20)
    expect(dropped - before.dropped).toBe(0)
  })

  it('are small enough to be spent before they end, where demand is too', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    for (let i = 0; i < 300; i++) {
      nowMs += 4
      await leases.decide(subject.key, policy, [1])
    }
    const { spent, dropped, asked } = leases.stats()
    expect(spent).toBeGreaterThan(250)
    expect(dropped).toBeLessThan(spent / 50)
    expect(asked).toBeLessThan(spent / 4)
  })

  it('let one process have all that the bucket gives, and no more', async () => {
    const { process, someone } = stage({ thereMs: 0.25 })
    const [leases, subject] = [process(), someone()]
    const from = nowMs
    const { lease, exact } = await traffic(leases, subject, 3000, 4)
    const most = 1000 + (nowMs - from) + FOR_MS
    expect(lease + exact).toBeLessThanOrEqual(most)
    expect(lease + exact).toBeGreaterThan(0.97 * most)
    // While the bucket is empty too.
    expect(leases.stats().asked).toBeLessThan(12_000 / 20)
  })

  it('lose no more than they hold when the demand ends', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    await traffic(leases, subject, 500, 1)
    const { held } = leases.stats()
    nowMs += FOR_MS
    const { dropped, granted, spent, held: left } = leases.stats()
    expect(left).toBe(0)
    expect(dropped).toBeLessThanOrEqual(2 * 25)
    expect(dropped).toBeGreaterThanOrEqual(held)
    expect(granted).toBe(spent + dropped)
  })

  it('ask once, however many wait for the answer', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    nowMs += FOR_MS
    // Enough that it stays hot.
    const { asked } = leases.stats()
    const decisions = await Promise.all(
      Array.from({ length: 20 }, async () => await leases.decide(subject.key, policy, [1])),
    )
    expect(decisions.filter((one) => one !== undefined && 'leased' in one).length).toBeGreaterThan(15)
    expect(leases.stats().asked - asked).toBeLessThanOrEqual(3)
  })

  it('refuse here until the bucket has what is asked for, and are right about when', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    await traffic(leases, subject, 1500, 3)
    const refusal = await leases.decide(subject.key, policy, [8])
    expect(refusal).toMatchObject({ allowed: false, reason: 'limited', decidedBy: 'lease', violated: ['t0'] })
    const retryAfterMs = refusal !== undefined && 'retryAfterMs' in refusal ? refusal.retryAfterMs : 0
    const { asked } = leases.stats()
    nowMs += retryAfterMs - 1
    expect(await leases.decide(subject.key, policy, [8])).toMatchObject({ allowed: false })
    expect(leases.stats().asked).toBe(asked)
    nowMs += 1
    expect(await leases.decide(subject.key, policy, [8])).toMatchObject({ leased: true })
  })

  it('are spent on while Redis is away, and then fail', async () => {
    const { process, someone, network } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    await traffic(leases, subject, 100, 1)
    network.isAway = true
    const { held } = leases.stats()
    expect(held).toBeGreaterThan(5)
    for (let i = 0; i < held; i++) {
      expect(await leases.decide(subject.key, policy, [1])).toMatchObject({ leased: true })
    }
    await expect(leases.decide(subject.key, policy, [1])).rejects.toThrow(RedisUnavailableError)
  })

  it('take back what is refunded, once, and only until their end', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    const admit = async (cost: number) => {
      const decision = await leases.decide(subject.key, policy, [cost])
      expect.assert(decision !== undefined && 'leased' in decision)
      return decision.giveBack
    }
    const giveBack = await admit(3)
    const { held, spent } = leases.stats()
    expect(giveBack(1)).toBe(true)
    expect(leases.stats()).toMatchObject({ held: held + 1, spent: spent - 1 })
    expect(giveBack(3)).toBe(true)
    expect(leases.stats()).toMatchObject({ held: held + 3, spent: spent - 3 })
    expect(giveBack(3)).toBe(false)
    expect(leases.stats().held).toBe(held + 3)
    const late = await admit(2)
    nowMs += FOR_MS
    expect(late(2)).toBe(false)
    expect(leases.stats().held).toBe(0)
  })

  it('hold nothing any more of a subject that was dropped, whatever is given back or under way', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    const decision = await leases.decide(subject.key, policy, [2])
    leases.drop(subject.key)
    expect(leases.stats().held).toBe(0)
    expect.assert(decision !== undefined && 'leased' in decision)
    expect(decision.giveBack(2)).toBe(false)
    await warm(leases, subject)
    nowMs += FOR_MS
    await traffic(leases, subject, 1, 4)
    const asking = leases.decide(subject.key, policy, [20])
    leases.close()
    await asking
    expect(leases.stats().held).toBe(0)
  })

  it('are spent by nobody once a block is heard of', async () => {
    const { process, someone } = stage()
    const [leases, subject] = [process(), someone()]
    await warm(leases, subject)
    await subject.block(policy, 10_000, BigInt(nowMs * 1000))
    const { lease } = await traffic(leases, subject, FOR_MS, 1)
    expect(lease).toBeLessThanOrEqual(25)
    expect(await leases.decide(subject.key, policy, [1])).toMatchObject({
      allowed: false,
      reason: 'blocked',
      decidedBy: 'lease',
    })
    expect((await traffic(leases, subject, 200, 1)).lease).toBe(0)
  })

  it('are kept for so many subjects and no more', async () => {
    const { process, someone } = stage({ maxSubjects: 2 })
    const [leases, subjects] = [process(), [someone(), someone(), someone()]]
    for (const subject of subjects) await warm(leases, subject)
    const { hot, granted, spent, held, dropped } = leases.stats()
    expect(hot).toBeLessThanOrEqual(2)
    expect(granted).toBe(spent + held + dropped)
  })
})
