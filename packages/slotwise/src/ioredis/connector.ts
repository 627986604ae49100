import { createConnection, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { AbstractConnector } from 'ioredis'

/** What ioredis hands to a connector, as far as we set it. */
interface ConnectorOptions {
  readonly host: string
  readonly port: number
  readonly tls?: ConnectionOptions
}

/**
 * ioredis listens for one error of a socket. A second one, such as the alert of a TLS server behind a connection
 * that is being given up, would end the process.
 */
export class SteadyConnector extends AbstractConnector {
  readonly #options: ConnectorOptions

  constructor(options: ConnectorOptions) {
    super(1000)
    this.#options = options
  }

  async connect(): Promise<Socket> {
    const { host, port, tls } = this.#options
    this.connecting = true
    const stream = tls === undefined ? createConnection({ host, port }) : connectTls({ ...tls, host, port })
    stream.on('error', () => {})
    this.stream = stream
    return stream
  }
}
