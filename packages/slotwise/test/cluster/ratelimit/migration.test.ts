import { randomUUID } from 'node:crypto'
import { Cluster } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, RateLimiterUnion } from 'rate-limiter-flexible'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import {
  type Difference,
  DualRun,
  type DualRunOptions,
  flexibleSide,
  limiterSide,
  type Side,
} from '../../../src/ratelimit/migration/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
let client: Cluster | undefined
beforeAll(async () => {
  port = await anyPort({ namespace: `dual-${randomUUID().slice(0, 8)}` })
  if (!inject('inMemory')) client = new Cluster([...inject('clusterNodes')])
})
afterAll(async () => {
  await port.close()
  client?.disconnect()
})

/** Theirs: on the cluster of the run, or where there is none in memory. */
const flexible = (points: number) =>
  client === undefined
    ? new RateLimiterMemory({ keyPrefix: randomUUID(), points, duration: 3600 })
    : new RateLimiterRedis({ storeClient: client, keyPrefix: randomUUID(), points, duration: 3600 })

const limiter = (capacity: number) =>
  new RateLimiter<'bucket', string>(port, {
    name: randomUUID().slice(0, 8),
    tiers: { bucket: tokenBucket({ capacity, refillPerSecond: 0.001 }) },
    whenUnavailable: 'deny',
    deadlineMs: 5000,
  })

/** Keeps all that is told. */
function watched<A, B>(options: DualRunOptions<A, B>) {
  const differences: Difference[] = []
  const errors: unknown[] = []
  const both = new DualRun({
    onDifference: (one) => differences.push(one),
    onError: (error) => errors.push(error),
    ...options,
  })
  const settled = async (calls: number) =>
    await expect
      .poll(() => Object.values(both.counts()).reduce((sum, count) => sum + Number(count), 0), {
        timeout: 10_000,
      })
      .toBe(calls)
  return { both, differences, errors, settled }
}

const allowing: Side<string> = { consume: async () => 'yes', ruling: () => ({ allowed: true }) }

describe('rate-limiter-flexible and a limiter, asked for the same requests', () => {
  it('agree where their limits do, and what the old one answers is handed on as it is', async () => {
    const { both, differences, settled } = watched({
      answering: flexibleSide(flexible(3)),
      shadow: limiterSide(limiter(3)),
    })
    const key = randomUUID()
    for (const left of [2, 1, 0]) {
      const answer = await both.consume(key)
      expect(answer).toBeInstanceOf(RateLimiterRes)
      expect(answer.remainingPoints).toBe(left)
    }
    const refusal: unknown = await both.consume(key).catch((rejection: unknown) => rejection)
    expect(refusal).toBeInstanceOf(RateLimiterRes)
    await settled(4)
    expect(both.counts()).toMatchObject({ agreed: 4 })
    expect(differences).toEqual([])
  })

  it('differ where their limits do, and each difference is told with what both said', async () => {
    const { both, differences, settled } = watched({
      answering: flexibleSide(flexible(2)),
      shadow: limiterSide(limiter(3)),
    })
    const key = randomUUID()
    for (let i = 0; i < 5; i++) await both.consume(key).catch(() => {})
    await settled(5)
    expect(both.counts()).toMatchObject({ agreed: 4, shadowAllows: 1 })
    expect(differences).toEqual([
      {
        key,
        cost: 1,
        answer: { allowed: false, remaining: 0, retryAfterMs: expect.any(Number) as number },
        shadow: { allowed: true, remaining: 0 },
      },
    ])
  })

  it('differ where the old one has a refused request pay, as a run of costs shows', async () => {
    const { both, differences, settled } = watched({
      answering: flexibleSide(flexible(10)),
      shadow: limiterSide(limiter(10)),
    })
    const key = randomUUID()
    for (const cost of [8, 5, 1]) await both.consume(key, cost).catch(() => {})
    await settled(3)
    expect(differences).toMatchObject([{ cost: 1, answer: { allowed: false }, shadow: { allowed: true } }])
  })

  it('can change places, when the new one answers', async () => {
    const { both, settled } = watched({
      answering: limiterSide(limiter(2)),
      shadow: flexibleSide(flexible(1)),
    })
    const key = randomUUID()
    const allowed = []
    for (let i = 0; i < 3; i++) allowed.push((await both.consume(key)).allowed)
    expect(allowed).toEqual([true, true, false])
    await settled(3)
    expect(both.counts()).toMatchObject({ agreed: 2, shadowRefuses: 1 })
  })

  it('agree on a union of several limits and the tiers that replace it', async () => {
    const union = new RateLimiterUnion(flexible(2), flexible(5))
    const tiers = {
      small: tokenBucket({ capacity: 2, refillPerSecond: 0.001 }),
      large: tokenBucket({ capacity: 5, refillPerSecond: 0.001 }),
    }
    const name = randomUUID().slice(0, 8)
    const all = new RateLimiter<'small' | 'large', string>(port, {
      name,
      tiers,
      whenUnavailable: 'deny',
      deadlineMs: 5000,
    })
    const { both, settled } = watched({ answering: flexibleSide(union), shadow: limiterSide(all) })
    const key = randomUUID()
    for (let i = 0; i < 4; i++) await both.consume(key).catch(() => {})
    await settled(4)
    expect(both.counts()).toMatchObject({ agreed: 4 })
  })
})

describe('the shadow', () => {
  it('that never answers is not waited for, and its calls do not pile up', async () => {
    const shadow: Side<string> = { ...allowing, consume: () => new Promise(() => {}) }
    const { both, settled } = watched({ answering: allowing, shadow, maxPending: 3, compareWithinMs: 50 })
    for (let i = 0; i < 10; i++) expect(await both.consume('key')).toBe('yes')
    expect(both.counts()).toMatchObject({ skipped: 7 })
    await settled(10)
    expect(both.counts()).toMatchObject({ incomparable: 3, skipped: 7 })
    await both.consume('key')
    await settled(11)
    expect(both.counts()).toMatchObject({ incomparable: 4 })
  })

  it('is asked in the turn in which the answer is asked for, and delays it by no other', async () => {
    const order: string[] = []
    const side = (name: string): Side<string> => ({
      consume: async () => {
        order.push(name)
        return name
      },
      ruling: () => ({ allowed: true }),
    })
    const both = new DualRun({ answering: side('answer'), shadow: side('shadow') })
    const answer = both.consume('key').then(() => order.push('answered'))
    expect(order).toEqual(['answer', 'shadow'])
    await answer
    expect(order).toEqual(['answer', 'shadow', 'answered'])
  })

  const error = new Error('shadow')
  const fail = (): never => {
    throw error
  }
  it.each<[string, Side<string>]>([
    ['rejects', { ...allowing, consume: () => Promise.reject(error) }],
    ['throws', { ...allowing, consume: fail }],
    ['cannot be read', { ...allowing, ruling: fail }],
    ['cannot be read where it refuses', { ...allowing, consume: () => Promise.reject(error), refusal: fail }],
  ])('that %s changes no answer, and is heard of', async (_, shadow) => {
    const { both, errors, settled } = watched({ answering: allowing, shadow })
    expect(await both.consume('key')).toBe('yes')
    await expect.poll(() => errors).toEqual([error])
    if (both.counts().incomparable === 0) return
    await settled(1)
  })

  it('and listeners that throw hurt nobody', async () => {
    const refusing: Side<string> = { ...allowing, ruling: () => ({ allowed: false }) }
    const heard: unknown[] = []
    const both = new DualRun({
      answering: allowing,
      shadow: refusing,
      onDifference: fail,
      onError: (one) => {
        heard.push(one)
        throw new Error('listener')
      },
    })
    expect(await both.consume('key')).toBe('yes')
    await expect.poll(() => heard).toEqual([error])
  })

  it('is left alone for what is not sampled', async () => {
    const shadow: Side<string> = { ...allowing, consume: fail }
    const { both, errors } = watched({ answering: allowing, shadow, sample: 0 })
    expect(await both.consume('key')).toBe('yes')
    expect([both.counts().skipped, errors]).toEqual([1, []])
  })
})

it('a failure of the answering side is the caller’s, and compared with nothing', async () => {
  const failure = new Error('answer')
  const answering: Side<string> = { ...allowing, consume: () => Promise.reject(failure) }
  const { both, errors, settled } = watched({ answering, shadow: allowing })
  await expect(both.consume('key')).rejects.toBe(failure)
  await settled(1)
  expect([both.counts().incomparable, errors]).toEqual([1, []])
})

it('a decision that Redis did not make is compared with nothing', async () => {
  const side = limiterSide({
    consume: async () => ({ allowed: false, reason: 'unavailable', cause: new Error('away') }),
  })
  expect(side.ruling(await side.consume('key', 1))).toBeUndefined()
})

it.each([{ sample: 1.1 }, { sample: Number.NaN }, { maxPending: 0 }, { compareWithinMs: -1 }])(
  '%j is refused when it is built',
  (options) => {
    expect(() => new DualRun({ answering: allowing, shadow: allowing, ...options })).toThrow(
      ConfigurationError,
    )
  },
)
