import { Controller, Get, HttpException, Module, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import type { HttpLimiter } from '../../../src/ratelimit/http/index.js'
import { type NestContextLike, type NestLimitOptions, nestLimit } from '../../../src/ratelimit/nest/index.js'
import { type Serve, serving, servingConnections } from './served.js'

type Options = NestLimitOptions<
  { headers: Record<string, string | undefined> } & { socket: object },
  string,
  'requests'
>

/** What the decorators of a Nest application do, written as the calls that they are. */
function moduleOf(reached: (path: string) => void) {
  class Routes {
    hello() {
      reached('/')
      return 'hello'
    }
    broken() {
      reached('/broken')
      throw new HttpException('broken', 500)
    }
    thrown() {
      reached('/thrown')
      throw new Error('thrown')
    }
    hung() {
      reached('/hung')
    }
  }
  const route = (name: keyof Routes, path: string) =>
    Get(path)(Routes.prototype, name, Object.getOwnPropertyDescriptor(Routes.prototype, name) ?? {})
  route('hello', '/')
  route('broken', '/broken')
  route('thrown', '/thrown')
  // Who takes the response answers by itself, or never.
  Res()(Routes.prototype, 'hung', 0)
  route('hung', '/hung')
  Controller()(Routes)
  class Application {
    readonly routes = Routes
  }
  Module({ controllers: [Routes] })(Application)
  return Application
}

const serveOn =
  (adapter: () => ExpressAdapter | FastifyAdapter, more: Pick<Options, 'answers'> = {}): Serve =>
  async (limits, reached) => {
    const app = await NestFactory.create(moduleOf(reached), adapter(), {
      logger: false,
      forceCloseConnections: true,
    })
    for (const { limiter, settings } of limits) {
      app.useGlobalGuards(nestLimit(limiter, { ...settings, ...more, exception: HttpException }))
    }
    await app.listen(0, '127.0.0.1')
    return { port: Number(new URL(await app.getUrl()).port), close: () => app.close() }
  }

const header = (request: unknown, name: string) =>
  (request as { headers: Record<string, string | undefined> }).headers[name]

const byNest = JSON.stringify({ statusCode: 429, message: 'not now' })
const onExpress = {
  serve: serveOn(() => new ExpressAdapter()),
  header,
  problemType: /^application\/json/,
  ownBody: [/^application\/json/, byNest],
} as const
serving('NestJS 11 on Express', onExpress)
servingConnections('NestJS 11 on Express', onExpress)
serving('NestJS 11 on Express, whose guard answers', {
  serve: serveOn(() => new ExpressAdapter(), { answers: true }),
  header,
})
const onFastify = {
  serve: serveOn(() => new FastifyAdapter({ forceCloseConnections: true })),
  header,
  // A text becomes an object of Nest's, with a status of its own, and that is always JSON.
  ownBody: [/^application\/json/, byNest],
} as const
serving('NestJS 11 on Fastify', onFastify)
servingConnections('NestJS 11 on Fastify', onFastify)

describe('a guard of Nest', () => {
  const limiter: HttpLimiter<'requests', string> = {
    consume: async () => ({ allowed: false, reason: 'exceeds-capacity', violated: [] }),
    describe: () => [],
    refund: async () => false,
  }
  const context = (type: string): NestContextLike => ({
    getType: () => type,
    switchToHttp: () => {
      throw new Error('is no HTTP')
    },
  })

  it('lets nothing pass unlimited by accident: of what is no HTTP it has to be told', async () => {
    const options = { exception: HttpException, key: () => 'x' }
    await expect(nestLimit(limiter, options).canActivate(context('ws'))).rejects.toThrow(ConfigurationError)
    const told = nestLimit(limiter, { ...options, exchange: () => undefined })
    expect(await told.canActivate(context('ws'))).toBe(true)
  })

  it('is refused without the exception of Nest', () => {
    const options = { key: () => 'x' } as unknown as Options
    expect(() => nestLimit(limiter, options)).toThrow(ConfigurationError)
  })
})
