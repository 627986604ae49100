import { HttpException } from '@nestjs/common'
import express from 'express'
import { type FastifyRequest, fastify } from 'fastify'
import { type Context, Hono } from 'hono'
import { expect, it } from 'vitest'
import { expressLimit } from '../../../src/ratelimit/express/index.js'
import { fastifyLimit } from '../../../src/ratelimit/fastify/index.js'
import { honoLimit } from '../../../src/ratelimit/hono/index.js'
import { httpLimit } from '../../../src/ratelimit/http/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { nestLimit } from '../../../src/ratelimit/nest/index.js'
import { nextLimit } from '../../../src/ratelimit/next/index.js'
import { memoryPort } from '../../../src/testing/index.js'

interface Caller {
  readonly tenant: string
  readonly plan: 'free' | 'paid'
}
const port = memoryPort()
const limiter = new RateLimiter(port, {
  name: 'a',
  tiers: { requests: tokenBucket({ capacity: 1, refillPerSecond: 1 }) },
  whenUnavailable: 'allow',
})
const byPlan = new RateLimiter(port, {
  name: 'b',
  tiers: ({ plan }: Caller) => ({
    requests: tokenBucket({ capacity: plan === 'free' ? 1 : 9, refillPerSecond: 1 }),
  }),
  whenUnavailable: 'allow',
})
interface Variables {
  readonly Variables: { readonly user: string }
}

it('compiles with what each framework takes, and knows its requests', () => {
  const made = [
    express().use(expressLimit(limiter, { key: (request) => request.ip ?? '', cost: { requests: 2 } })),
    express().use(expressLimit(byPlan, { key: ({ path }) => ({ tenant: path, plan: 'free' }) })),
    express().get(
      '/',
      expressLimit(limiter, { key: (request: express.Request) => request.hostname }),
      () => {},
    ),
    fastify().addHook(
      'onRequest',
      fastifyLimit(limiter, { key: ({ headers }) => String(headers['x-user']) }),
    ),
    fastify().get(
      '/',
      { onRequest: fastifyLimit(limiter, { key: (request: FastifyRequest) => request.id }) },
      () => {},
    ),
    new Hono().use(honoLimit(limiter, { key: (c) => c.req.path })),
    new Hono<Variables>().use(honoLimit(limiter, { key: (c: Context<Variables>) => c.get('user') })),
    nestLimit(limiter, { exception: HttpException }),
    nextLimit(limiter, { key: ({ headers }) => headers.get('x-user') ?? '' }, (_: Request, id: number) =>
      Response.json(id),
    ),
    httpLimit(limiter, { units: { requests: 'content-bytes' } }),
  ]
  expect(made).not.toContain(undefined)
})

it('does not compile without a key where a limiter does not take texts, or with tiers that are not there', () => {
  const refused = [
    // @ts-expect-error whose plan it is only a key can tell
    () => httpLimit(byPlan, {}),
    // @ts-expect-error Next tells no address
    () => nextLimit(limiter, {}, () => new Response()),
    // @ts-expect-error there is no such tier
    () => httpLimit(limiter, { cost: { seconds: 1 } }),
    // @ts-expect-error there is no such tier
    () => httpLimit(limiter, { units: { seconds: 'requests' } }),
  ]
  expect(refused).toHaveLength(4)
})
