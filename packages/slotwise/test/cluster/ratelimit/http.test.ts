import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { httpLimit } from '../../../src/ratelimit/http/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { anyPort } from '../../support/any-port.js'
import { onSomePort } from '../../support/on-some-port.js'
import { type Serve, serving, servingConnections } from './served.js'

const serve: Serve = async (limits, reached) => {
  const all = limits.map(({ limiter, settings }) => httpLimit(limiter, settings))
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      for (const limit of all) if (!(await limit(request, response))) return
      reached(request.url ?? '')
      if (request.url === '/hung') return
      if (request.url === '/thrown') throw new Error('thrown')
      if (request.url === '/broken') response.statusCode = 500
      response.end('hello')
    } catch {
      response.statusCode = 500
      response.end()
    }
  }
  return await onSomePort((request, response) => void listener(request, response))
}

it('a client that comes back when it was told to is admitted', async () => {
  const port = await anyPort({ namespace: `http-${randomUUID().slice(0, 8)}` })
  const requests = tokenBucket({ capacity: 1, refillPerSecond: 0.9 })
  const limiter = new RateLimiter<'requests', string>(port, {
    name: 'told',
    tiers: { requests },
    whenUnavailable: 'deny',
    deadlineMs: 5000,
  })
  const server = await serve([{ limiter, settings: { key: () => 'a' } }], () => {})
  const get = async () => await fetch(`http://127.0.0.1:${server.port}/`)
  try {
    expect((await get()).status).toBe(200)
    const refused = await get()
    expect(refused.status).toBe(429)
    await sleep(1000 * Number(refused.headers.get('retry-after')))
    expect((await get()).status).toBe(200)
  } finally {
    await server.close()
    await port.close()
  }
})

const subject = {
  serve,
  header: (request: unknown, name: string) => {
    const value = (request as IncomingMessage).headers[name]
    return Array.isArray(value) ? value[0] : value
  },
}
serving('node:http', subject)
servingConnections('node:http', subject)
