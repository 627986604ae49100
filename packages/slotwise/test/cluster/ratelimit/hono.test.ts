import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { honoLimit } from '../../../src/ratelimit/hono/index.js'
import type { HttpLimiter } from '../../../src/ratelimit/http/index.js'
import { onSomePort } from '../../support/on-some-port.js'
import { type Serve, serving, servingBodies, servingConnections } from './served.js'

const serve: Serve = async (limits, reached) => {
  const app = new Hono()
  for (const { limiter, settings } of limits) app.use(honoLimit(limiter, settings))
  app.use(async (c, next) => {
    reached(c.req.path)
    await next()
  })
  app.get('/', () => new Response('hello'))
  app.get('/broken', (c) => c.text('broken', 500))
  app.get('/thrown', () => {
    throw new Error('thrown')
  })
  app.get('/hung', () => new Promise<Response>(() => {}))
  app.onError((_, c) => c.text('failed', 500))
  const listener = getRequestListener(app.fetch)
  return await onSomePort((request, response) => void listener(request, response))
}

const hono = {
  serve,
  header: (request: unknown, name: string) => (request as Context).req.header(name),
}
serving('Hono 4', hono)
servingConnections('Hono 4', hono)
servingBodies('Hono 4 on a runtime that tells nothing of connections', ({ limiter, settings }, handler) => {
  const app = new Hono()
  app.use(honoLimit(limiter, settings))
  app.on(['GET', 'HEAD'], '/', (c) => handler(c.req.raw))
  app.onError((_, c) => c.text('failed', 500))
  return async (request) => await app.fetch(request)
})

describe('Hono 4', () => {
  const limiter: HttpLimiter<'a', string> = {
    consume: async (subject) => {
      subjects.push(subject)
      return { allowed: true, decidedBy: 'redis', tiers: [], receipt: { costs: { a: 1 } } }
    },
    describe: () => [{ name: 'a', kind: 'fixed-window', limit: 1, windowMs: 1000 }],
    refund: async () => false,
  }
  const subjects: string[] = []

  it('adds its headers to a response that cannot be changed', async () => {
    const app = new Hono().use(honoLimit(limiter, { key: () => 'x' }))
    app.get('/', () => Response.redirect('https://example.com/'))
    const response = await app.request('/')
    expect([response.status, response.headers.get('ratelimit-policy')]).toEqual([302, '"a";q=1;w=1'])
  })

  it('asks how a runtime tells the address, rather than count all clients as one', async () => {
    const app = new Hono().use(honoLimit(limiter, {})).onError((error, c) => c.text(error.message, 500))
    expect(await (await app.request('/')).text()).toContain('remoteAddress')
    const told = new Hono().use(honoLimit(limiter, { remoteAddress: () => '192.0.2.7' }))
    told.get('/', (c) => c.text('hello'))
    await told.request('/')
    expect(subjects.at(-1)).toBe('192.0.2.7')
  })
})
