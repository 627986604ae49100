import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { decodeList } from 'structured-field-values'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import type { Decision, TierDescription, TierState } from '../../../src/ratelimit/decision.js'
import {
  type HttpLimiter,
  type ProtectSettings,
  protect,
  type Verdict,
} from '../../../src/ratelimit/http/index.js'
import { whenEnded } from '../../../src/ratelimit/http/node.js'

const HOUR: TierDescription = { name: 'hour', kind: 'sliding-window', limit: 100, windowMs: 3_600_000 }
const BURST: TierDescription = { name: 'burst', kind: 'token-bucket', limit: 10, windowMs: 500 }
const state = (
  name: string,
  limit: number,
  remaining: number,
  nextMs: number,
  resetMs = nextMs,
): TierState => ({
  name,
  limit,
  remaining,
  nextMs,
  resetMs,
})
const ADMITTED: Decision = {
  allowed: true,
  decidedBy: 'redis',
  tiers: [state('burst', 10, 9, 50), state('hour', 100, 40, 90_000, 3_000_000)],
  receipt: { costs: { burst: 1, hour: 1 } },
}
const REFUSED: Decision = {
  allowed: false,
  reason: 'limited',
  retryAfterMs: 120,
  violated: ['burst'],
  tiers: [state('burst', 10, 0, 20), state('hour', 100, 40, 90_000, 3_000_000)],
}

interface Asked {
  readonly subjects: string[]
  readonly costs: unknown[]
  readonly refunds: unknown[]
}

/** A limiter that always says the same. */
function saying(decision: Decision, tiers: readonly TierDescription[] = [BURST, HOUR]) {
  const asked: Asked = { subjects: [], costs: [], refunds: [] }
  const limiter: HttpLimiter<string, string> = {
    consume: async (subject, options) => {
      asked.subjects.push(subject)
      asked.costs.push(options?.cost)
      return decision
    },
    describe: () => tiers,
    refund: async (receipt) => asked.refunds.push(receipt) > 0,
  }
  return { limiter, asked }
}

const facts = () => ({ header: () => undefined, remoteAddress: '192.0.2.1' })
const verdictOf = async (
  decision: Decision,
  options: ProtectSettings<object, string> = {},
  tiers?: readonly TierDescription[],
): Promise<Verdict> => {
  const verdict = await protect(saying(decision, tiers).limiter, options, facts)({})
  if (verdict === undefined) throw new Error('skipped')
  return verdict
}
const headersOf = ({ headers }: Verdict) => Object.fromEntries(headers)

describe('an admission', () => {
  it('tells the policy and where the client stands, and nothing of when to come back', async () => {
    expect(headersOf(await verdictOf(ADMITTED))).toEqual({
      'RateLimit-Policy': '"burst";q=10, "hour";q=100;w=3600',
      RateLimit: '"burst";r=9;t=1, "hour";r=40;t=90',
    })
  })

  it('tells the older headers of the tier that will refuse first, where they are asked for', async () => {
    expect(headersOf(await verdictOf(ADMITTED, { headers: 'legacy' }))).toEqual({
      'X-RateLimit-Limit': '10',
      'X-RateLimit-Remaining': '9',
      'X-RateLimit-Reset': '1',
    })
    const both = headersOf(await verdictOf(ADMITTED, { headers: 'both', legacyReset: 'epoch' }))
    expect(Number(both['X-RateLimit-Reset'])).toBeGreaterThanOrEqual(Math.floor(Date.now() / 1000))
    expect(both).toHaveProperty('RateLimit')
    expect((await verdictOf(ADMITTED, { headers: 'none' })).headers).toEqual([])
  })

  it('that Redis did not make tells the policy alone', async () => {
    const decision: Decision = { allowed: true, decidedBy: 'policy', tiers: [], receipt: { costs: {} } }
    expect(headersOf(await verdictOf(decision, { headers: 'both' }))).toEqual({
      'RateLimit-Policy': '"burst";q=10, "hour";q=100;w=3600',
    })
  })

  it('promises no more for a second than it is told to', async () => {
    const headers = headersOf(await verdictOf(ADMITTED, { maxPerSecond: 5 }))
    expect(headers['RateLimit']).toBe('"burst";r=5;t=1, "hour";r=40;t=90')
  })

  it('tells no time of concurrency, since nobody knows when a request ends', async () => {
    const tier: TierDescription = { name: 'open', kind: 'concurrency', limit: 3, windowMs: 30_000 }
    const decision: Decision = { ...ADMITTED, tiers: [state('open', 3, 1, 29_000)] }
    expect(headersOf(await verdictOf(decision, {}, [tier]))).toEqual({
      'RateLimit-Policy': '"open";q=3;qu="concurrent-requests"',
      RateLimit: '"open";r=1',
    })
  })
})

describe('a refusal', () => {
  it('is a 429 that no cache keeps, with a problem and the time rounded up', async () => {
    const verdict = await verdictOf(REFUSED)
    expect.assert(!verdict.allowed)
    expect(verdict.status).toBe(429)
    expect(JSON.parse(verdict.body)).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Quota exceeded',
      status: 429,
      'violated-policies': ['burst'],
    })
    expect(headersOf(verdict)).toEqual({
      'RateLimit-Policy': '"burst";q=10, "hour";q=100;w=3600',
      // The hour did not refuse, and its `t` would be later than what the client is told.
      RateLimit: '"burst";r=0;t=1, "hour";r=40',
      'Cache-Control': 'no-store',
      'Retry-After': '1',
      'Content-Type': 'application/problem+json',
    })
  })

  it('names policies in its body as its headers do', async () => {
    const tier: TierDescription = { ...HOUR, name: 'stündlich' }
    const decision: Decision = { ...REFUSED, violated: [tier.name], tiers: [state(tier.name, 1, 0, 5)] }
    const verdict = await verdictOf(decision, {}, [tier])
    expect.assert(!verdict.allowed)
    const [name] = (JSON.parse(verdict.body) as { 'violated-policies': string[] })['violated-policies']
    expect(headersOf(verdict)['RateLimit']).toBe(`"${name}";r=0;t=1`)
  })

  it('of a block is abnormal usage', async () => {
    const verdict = await verdictOf({ ...REFUSED, reason: 'blocked', violated: [], retryAfterMs: 59_001 })
    expect.assert(!verdict.allowed)
    expect([verdict.status, headersOf(verdict)['Retry-After']]).toEqual([429, '60'])
    expect(JSON.parse(verdict.body)).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
      'violated-policies': [],
    })
  })

  it('of what waiting never helps tells no time to come back', async () => {
    const verdict = await verdictOf({ allowed: false, reason: 'exceeds-capacity', violated: ['burst'] })
    expect.assert(!verdict.allowed)
    expect(headersOf(verdict)).not.toHaveProperty('Retry-After')
    expect(JSON.parse(verdict.body)).toMatchObject({ status: 429, 'violated-policies': ['burst'] })
  })

  it('by a limit of concurrency alone sends a client back in a second, by others too when they will admit it', async () => {
    const open: TierDescription = { name: 'open', kind: 'concurrency', limit: 1, windowMs: 30_000 }
    const tiers = [state('open', 1, 0, 29_000), state('hour', 100, 0, 90_000)]
    const decision: Decision = { ...REFUSED, retryAfterMs: 29_000, violated: ['open'], tiers }
    expect(headersOf(await verdictOf(decision, {}, [open, HOUR]))['Retry-After']).toBe('1')
    const both: Decision = { ...decision, retryAfterMs: 90_000, violated: ['open', 'hour'] }
    expect(headersOf(await verdictOf(both, {}, [open, HOUR]))['Retry-After']).toBe('90')
  })

  it('where no decision could be had is a 503 that tells when to come back', async () => {
    const decision: Decision = { allowed: false, reason: 'unavailable', cause: new Error('secret of ours') }
    const verdict = await verdictOf(decision, { unavailableRetryAfterMs: 1500 })
    expect.assert(!verdict.allowed)
    expect(verdict.status).toBe(503)
    expect(headersOf(verdict)).toMatchObject({ 'Retry-After': '2', 'Cache-Control': 'no-store' })
    expect(JSON.parse(verdict.body)).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    })
    expect(verdict.body).not.toContain('secret')
  })

  it('has the body of one’s own, which knows why', async () => {
    const verdict = await verdictOf(REFUSED, {
      body: ({ problem, retryAfterSeconds }) => ({
        contentType: 'text/plain',
        text: `${problem['violated-policies'].join()} again in ${retryAfterSeconds}`,
      }),
    })
    expect.assert(!verdict.allowed)
    expect(verdict.body).toBe('burst again in 1')
    expect(headersOf(verdict)['Content-Type']).toBe('text/plain')
  })

  it('never sends a client back before it can be admitted, nor before any t that it is told', () => {
    const wait = fc.integer({ min: 1, max: 10_000_000 })
    return fc.assert(
      fc.asyncProperty(
        wait,
        fc.array(wait, { minLength: 1, maxLength: 4 }),
        fc.nat(15),
        async (retryAfterMs, nexts, which) => {
          const names = nexts.map((_, i) => `tier${i}`)
          const decision: Decision = {
            allowed: false,
            reason: 'limited',
            retryAfterMs,
            violated: names.filter((_, i) => (which >> i) % 2 === 1),
            tiers: nexts.map((nextMs, i) => state(`tier${i}`, 5, 0, nextMs)),
          }
          const tiers = names.map((name) => ({ ...HOUR, name }))
          const headers = headersOf(await verdictOf(decision, {}, tiers))
          const retryAfter = Number(headers['Retry-After'])
          expect(retryAfter * 1000).toBeGreaterThanOrEqual(retryAfterMs)
          const list = decodeList(headers['RateLimit'] ?? '') as { params: { r: number; t?: number } }[]
          expect(list).toHaveLength(nexts.length)
          for (const { params } of list) expect(params.t ?? 0).toBeLessThanOrEqual(retryAfter)
        },
      ),
    )
  })
})

describe('who is asked for', () => {
  it('is the client, unless a key says otherwise; what is taken is what the cost says; what is skipped is not asked for', async () => {
    const { limiter, asked } = saying(ADMITTED)
    await protect(limiter, {}, facts)({})
    await protect(limiter, { key: (_, client) => `of ${client()}`, cost: 3 }, facts)({})
    const byUser = protect(
      limiter,
      {
        key: async ({ user }: { user: string }) => user,
        cost: ({ user }) => user.length,
        skip: ({ user }) => user === '',
      },
      facts,
    )
    await byUser({ user: 'ada' })
    expect(await byUser({ user: '' })).toBeUndefined()
    expect(asked).toMatchObject({ subjects: ['192.0.2.1', 'of 192.0.2.1', 'ada'], costs: [undefined, 3, 3] })
  })

  it('of whom that cannot be told, the error is the caller’s', async () => {
    const failing = () => Promise.reject(new Error('no user'))
    await expect(protect(saying(ADMITTED).limiter, { key: failing }, facts)({})).rejects.toThrow('no user')
  })
})

describe('a shadow', () => {
  it('hears of every decision and lets every request pass, told nothing', async () => {
    const heard: unknown[] = []
    const request = { url: '/' }
    const options = {
      shadow: true,
      refund: 'failed',
      onDecision: (...both: unknown[]) => heard.push(both),
    } as const
    const refusing = saying(REFUSED)
    expect(await protect(refusing.limiter, options, facts)(request)).toBeUndefined()
    const admitting = saying(ADMITTED)
    const verdict = await protect(admitting.limiter, options, facts)(request)
    expect.assert(verdict?.allowed === true)
    expect(verdict.headers).toEqual([])
    await verdict.ended?.({ status: 500 })
    expect([refusing.asked.refunds, admitting.asked.refunds.length]).toEqual([[], 1])
    expect(heard).toEqual([
      [REFUSED, request],
      [ADMITTED, request],
    ])
  })

  it('is cast by a word of its own: decisions are also heard of where they count', async () => {
    const heard: unknown[] = []
    const verdict = await verdictOf(REFUSED, { onDecision: (decision) => heard.push(decision) })
    expect([verdict.allowed, heard]).toEqual([false, [REFUSED]])
  })
})

describe('a refund', () => {
  const after = async (refund: ProtectSettings<object, string>['refund'], status: number | undefined) => {
    const { limiter, asked } = saying(ADMITTED)
    const verdict = await protect(limiter, { refund }, facts)({})
    expect.assert(verdict?.allowed === true)
    await verdict.ended?.({ status })
    return asked.refunds.length
  }

  it('is given by how the response ended', async () => {
    const cases = [200, 399, 400, 500, undefined] as const
    const given = async (refund: Parameters<typeof after>[0]) =>
      await Promise.all(cases.map((status) => after(refund, status)))
    expect(await given('failed')).toEqual([0, 0, 1, 1, 0])
    expect(await given('successful')).toEqual([1, 1, 0, 0, 0])
    expect(await given(({ status }) => status === undefined)).toEqual([0, 0, 0, 0, 1])
    expect(await given(undefined)).toEqual([0, 0, 0, 0, 0])
  })

  it('that fails is heard of and hurts nobody', async () => {
    const heard: unknown[] = []
    const error = new Error('gone')
    const limiter = { ...saying(ADMITTED).limiter, refund: () => Promise.reject(error) }
    const verdict = await protect(limiter, { refund: 'failed', onError: (one) => heard.push(one) }, facts)({})
    expect.assert(verdict?.allowed === true)
    await verdict.ended?.({ status: 500 })
    expect(heard).toEqual([error])
  })
})

describe('a place in a limit of concurrency', () => {
  const open: TierDescription = { name: 'open', kind: 'concurrency', limit: 3, windowMs: 30 }
  const holding = () => {
    const heard: string[] = []
    const hears = (what: string) => async () => heard.push(what) > 0
    const limiter: HttpLimiter<string, string> = {
      ...saying(ADMITTED, [open, HOUR]).limiter,
      refund: hears('refund'),
      release: hears('release'),
      renew: hears('renew'),
    }
    return { heard, limiter }
  }

  it('is held for as long as the response takes, and released when it ends', async () => {
    const { heard, limiter } = holding()
    const verdict = await protect(limiter, { headers: 'none' }, facts)({})
    expect.assert(verdict?.allowed === true)
    await expect.poll(() => heard.length, { interval: 5 }).toBeGreaterThan(2)
    expect(new Set(heard)).toEqual(new Set(['renew']))
    await verdict.ended?.({ status: undefined })
    expect(heard.at(-1)).toBe('release')
    const length = heard.length
    await sleep(60)
    expect(heard).toHaveLength(length)
  })

  it('goes back with all else where that is given back', async () => {
    const { heard, limiter } = holding()
    const verdict = await protect(limiter, { refund: 'failed' }, facts)({})
    expect.assert(verdict?.allowed === true)
    await verdict.ended?.({ status: 500 })
    expect(heard.filter((what) => what !== 'renew')).toEqual(['refund'])
  })

  it('is released when the client hung up before it was decided', () => {
    const told: unknown[] = []
    const response = { statusCode: 200, destroyed: true, once: () => {} }
    whenEnded(response, async ({ status }) => void told.push(status))
    expect(told).toEqual([undefined])
  })
})

it.each<[object]>([
  [{ headers: 'all' }],
  [{ legacyReset: 'date' }],
  [{ refund: 'always' }],
  [{ refund: 5 }],
  [{ maxPerSecond: 0 }],
  [{ unavailableRetryAfterMs: 0.5 }],
  [{ units: { burst: 'litres' } }],
  [{ ipv6Prefix: 0 }],
  [{ proxies: { trust: 'all' } }],
])('%j is refused when it is built', (options) => {
  expect(() => protect(saying(ADMITTED).limiter, options, facts)).toThrow(ConfigurationError)
})
