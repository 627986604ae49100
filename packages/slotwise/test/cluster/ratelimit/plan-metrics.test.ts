import { afterEach, describe, expect, it } from 'vitest'
import { type Attributes, measure, OTHER } from '../../../src/measure.js'
import { fixedWindow, RateLimiter, type RateLimiterOptions } from '../../../src/ratelimit/index.js'
import { memoryPort } from '../../../src/testing/index.js'

interface Caller {
  readonly tenant: string
  readonly plan: string
}
type Seen = Attributes & { readonly metric: string }

describe('metrics of decisions', () => {
  const seen: Seen[] = []
  let stop = () => {}
  afterEach(() => stop())
  const measured = (options: Partial<RateLimiterOptions<'hour', Caller>> = {}) => {
    seen.length = 0
    stop = measure(
      (metric, _, attributes) => {
        if (metric.startsWith('slotwise.ratelimit')) seen.push({ metric: metric.slice(19), ...attributes })
      },
      { perNode: false },
    )
    return new RateLimiter<'hour', Caller>(memoryPort(), {
      name: 'api',
      tiers: { hour: fixedWindow({ limit: 1, windowMs: 3_600_000 }) },
      whenUnavailable: 'deny',
      planOf: ({ plan }) => plan,
      ...options,
    })
  }

  it('tell of which plan it was, whether let in or refused', async () => {
    const limiter = measured()
    for (const plan of ['free', 'free', 'paid']) await limiter.consume({ tenant: plan, plan })
    const [name, metric] = ['api', 'decision.duration']
    expect(seen).toEqual([
      { metric, name, plan: 'free', outcome: 'allowed' },
      { metric, name, plan: 'free', outcome: 'limited' },
      { metric: 'violations', name, plan: 'free', tier: 'hour' },
      { metric, name, plan: 'paid', outcome: 'allowed' },
    ])
  })

  it('tell of which plan it would have been, where limits are only tried', async () => {
    const limiter = measured({ shadow: true })
    for (let i = 0; i < 2; i++) await limiter.consume({ tenant: 'a', plan: 'free' })
    expect(seen.slice(-2)).toEqual([
      { metric: 'shadow.refusals', name: 'api', plan: 'free', outcome: 'limited' },
      { metric: 'shadow.violations', name: 'api', plan: 'free', tier: 'hour' },
    ])
  })

  it('are a few, however many plans somebody makes up', async () => {
    const limiter = measured()
    for (let i = 0; i < 300; i++) await limiter.consume({ tenant: 'a', plan: `plan ${i}` })
    const plans = new Set(seen.map(({ plan }) => plan))
    expect(plans.size).toBe(101)
    expect(plans).toContain(OTHER)
  })

  it('leave the plan out where it has no name, and a name that fails fails no decision', async () => {
    const heard: unknown[] = []
    const error = new Error('no plan')
    const planOf = ({ plan }: Caller) => {
      if (plan === 'broken') throw error
      return undefined
    }
    const limiter = measured({ planOf, onError: (one) => heard.push(one) })
    expect(await limiter.consume({ tenant: 'a', plan: 'none' })).toMatchObject({ allowed: true })
    expect(await limiter.consume({ tenant: 'b', plan: 'broken' })).toMatchObject({ allowed: true })
    expect(seen.map((one) => 'plan' in one)).toEqual([false, false])
    expect(heard).toEqual([error])
  })
})
