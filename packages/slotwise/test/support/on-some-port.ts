import type { RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server on a port of its own, whose open connections are cut when it is closed. */
export interface Listening {
  readonly port: number
  readonly close: () => Promise<void>
}

export async function onSomePort(listener: RequestListener | Server): Promise<Listening> {
  const server = typeof listener === 'function' ? createServer(listener) : listener
  if (!server.listening) {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
