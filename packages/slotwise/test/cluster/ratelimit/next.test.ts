import { getRequestListener } from '@hono/node-server'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import type { HttpLimiter } from '../../../src/ratelimit/http/index.js'
import { type NextLimitOptions, nextLimit } from '../../../src/ratelimit/next/index.js'
import { onSomePort } from '../../support/on-some-port.js'
import { type Serve, serving, servingBodies } from './served.js'

type Handler = (request: Request) => Response | Promise<Response>

const serve: Serve = async (limits, reached) => {
  const route: Handler = (request) => {
    const { pathname } = new URL(request.url)
    reached(pathname)
    if (pathname === '/thrown') throw new Error('thrown')
    return new Response('hello', { status: pathname === '/broken' ? 500 : 200 })
  }
  const limited = limits
    .toReversed()
    .reduce<Handler>(
      (inner, { limiter, settings }) =>
        nextLimit(limiter, settings as NextLimitOptions<string, 'requests'>, inner),
      route,
    )
  // As Next does with a handler that fails.
  const answer = async (request: Request) => {
    try {
      return await limited(request)
    } catch {
      return new Response(null, { status: 500 })
    }
  }
  const listener = getRequestListener(answer)
  return await onSomePort((request, response) => void listener(request, response))
}

serving('route handlers of Next', {
  serve,
  header: (request, name) => (request as Request).headers.get(name) ?? undefined,
})
servingBodies('route handlers of Next', ({ limiter, settings }, handler) =>
  nextLimit(limiter, settings as NextLimitOptions<string, 'requests'>, handler),
)

describe('route handlers of Next', () => {
  const refunds: unknown[] = []
  const limiter: HttpLimiter<'a', string> = {
    consume: async () => ({ allowed: true, decidedBy: 'redis', tiers: [], receipt: { costs: { a: 1 } } }),
    describe: () => [{ name: 'a', kind: 'fixed-window', limit: 1, windowMs: 1000 }],
    refund: async (receipt) => refunds.push(receipt) > 0,
  }
  const request = new Request('http://localhost/')

  it('are not limited by an address that nobody vouches for', () => {
    const options = {} as unknown as NextLimitOptions<string, 'a'>
    expect(() => nextLimit(limiter, options, () => new Response())).toThrow(ConfigurationError)
  })

  it('that answer with what cannot be changed are told of limits all the same', async () => {
    const response = await nextLimit(limiter, { key: () => 'x' }, () =>
      Response.redirect('https://a.example/'),
    )(request)
    expect([response.status, response.headers.get('ratelimit-policy')]).toEqual([302, '"a";q=1;w=1'])
  })

  it('are limited by a limiter that is made with the first request, once, and again if that failed', async () => {
    let made = 0
    const make = async () => {
      made++
      if (made === 1) throw new Error('no connection')
      return limiter
    }
    const limited = nextLimit(make, { key: () => 'x' }, () => new Response('hello'))
    expect(made).toBe(0)
    const first = await limited(request)
    expect([first.status, first.headers.get('retry-after')]).toEqual([503, '5'])
    const all = await Promise.all([limited(request), limited(request)])
    expect(all.map(({ status }) => status)).toEqual([200, 200])
    expect(all[0].headers.get('ratelimit-policy')).toBe('"a";q=1;w=1')
    expect(made).toBe(2)
  })

  it('keep the further arguments that Next gives them', async () => {
    const handler = (_: Request, context: { params: Promise<{ id: string }> }) =>
      context.params.then(({ id }) => new Response(id))
    const response = await nextLimit(
      limiter,
      { key: () => 'x' },
      handler,
    )(request, {
      params: Promise.resolve({ id: '7' }),
    })
    expect(await response.text()).toBe('7')
  })

  it.each([
    ['NEXT_REDIRECT;replace;/to;307;', 0],
    ['NEXT_HTTP_ERROR_FALLBACK;404', 1],
    [undefined, 1],
  ])(
    'that throw %s have the status that Next makes of it, and refunds go on after the response',
    async (digest, given) => {
      refunds.length = 0
      const work: Promise<void>[] = []
      const options = {
        key: () => 'x',
        refund: 'failed',
        waitUntil: (one: Promise<void>) => void work.push(one),
      } as const
      const thrown = Object.assign(new Error('thrown'), digest === undefined ? {} : { digest })
      const limited = nextLimit(limiter, options, () => Promise.reject(thrown))
      await expect(limited(request)).rejects.toBe(thrown)
      expect(work).toHaveLength(1)
      await Promise.all(work)
      expect(refunds).toHaveLength(given)
    },
  )
})
