import { createServer } from 'node:http'
import { type AddressInfo, Server } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'

/** A server that listens. */
export interface Listening {
  readonly url: string
  readonly port: number
  /**
   * Takes no new connections, answers what is under way and what still comes over open ones, then ends them. Those
   * who keep a connection open are told to close it by the answer to their next request.
   */
  close(): Promise<void>
}

/** The port is not to be had. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError'
  readonly code = 'PORT_TAKEN'
  readonly port: number

  constructor(port: number, cause: unknown) {
    super(`port ${port} is taken: set PORT to another one`, { cause })
    this.port = port
  }
}

/** How long callers with an idle connection have for one more request, which tells them to close it. */
const FAREWELL_MS = 1500
/** How long requests that are under way may take. */
const PATIENCE_MS = 10_000

export async function listen(
  fetch: (request: Request, connection: HttpBindings) => Response | Promise<Response>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Listening> {
  const answer = getRequestListener((request, connection) => fetch(request, connection as HttpBindings))
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
    void answer(request, response)
  })
  server.keepAliveTimeout = 10_000
  await new Promise<void>((listening, fail) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      fail(error.code === 'EADDRINUSE' ? new PortTakenError(port, error) : error),
    )
    server.listen(port, host, listening)
  })
  const { port: actual } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  const close = () =>
    (closing ??= new Promise((closed) => {
      // Not http's own close: it cuts idle connections at once, on some of which a request is on its way.
      Server.prototype.close.call(server, () => closed())
      const farewell = setInterval(() => server.closeIdleConnections(), FAREWELL_MS)
      const end = setTimeout(() => server.closeAllConnections(), PATIENCE_MS)
      server.once('close', () => {
        clearInterval(farewell)
        clearTimeout(end)
      })
    }))
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `http://${name}:${actual}`, port: actual, close }
}
