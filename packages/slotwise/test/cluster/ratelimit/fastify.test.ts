import { type FastifyRequest, fastify } from 'fastify'
import { fastifyLimit } from '../../../src/ratelimit/fastify/index.js'
import { type Serve, serving, servingConnections } from './served.js'

const serve: Serve = async (limits, reached) => {
  const app = fastify({ forceCloseConnections: true })
  for (const { limiter, settings } of limits) app.addHook('onRequest', fastifyLimit(limiter, settings))
  app.addHook('onRequest', async ({ url }) => reached(url))
  app.get('/', async () => 'hello')
  app.get('/broken', async (_, reply) => reply.code(500).send('broken'))
  app.get('/thrown', () => Promise.reject(new Error('thrown')))
  app.get('/hung', () => new Promise(() => {}))
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: Number(new URL(address).port), close: () => app.close() }
}

const subject = {
  serve,
  header: (request: unknown, name: string) => {
    const value = (request as FastifyRequest).headers[name]
    return Array.isArray(value) ? value[0] : value
  },
}
serving('Fastify 5', subject)
servingConnections('Fastify 5', subject)
