import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { httpLimit } from '../../../src/ratelimit/http/index.js'
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
  const server = createServer((request, response) => void listener(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

const subject = {
  serve,
  header: (request: unknown, name: string) => {
    const value = (request as IncomingMessage).headers[name]
    return Array.isArray(value) ? value[0] : value
  },
}
serving('node:http', subject)
servingConnections('node:http', subject)
