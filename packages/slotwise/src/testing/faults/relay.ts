import { connect, type Socket } from 'node:net'
import type { Endpoint } from '../../redis/link.js'
import { type Direction, Flow, type Passage } from './flow.js'

interface RelayParts {
  readonly client: Socket
  readonly target: Endpoint
  /** Sees what the client sends; `false` keeps it from the server. */
  readonly asks?: ((chunk: Buffer) => boolean) | undefined
  /** Sees what the server answers; `false` keeps it from the client. */
  readonly answers?: ((chunk: Buffer) => boolean) | undefined
  /** Called once, when both ends are gone. */
  readonly closed: () => void
}

/** One connection through a proxy: the client's, the server's, and what happens between. */
export class Relay {
  readonly toServer: Flow
  readonly toClient: Flow
  readonly #client: Socket
  readonly #server: Socket
  #isOver = false

  constructor({ client, target, asks, answers, closed }: RelayParts) {
    // A side that has nothing more to say may still listen.
    const server = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true })
    client.setNoDelay(true)
    this.#client = client
    this.#server = server
    this.toServer = new Flow(client, server, asks)
    this.toClient = new Flow(server, client, answers)
    this.#watch(client, this.toServer, server)
    this.#watch(server, this.toClient, client)
    for (const socket of [client, server]) {
      socket.unref()
      socket.on('close', () => {
        if (this.#isOver || !client.destroyed || !server.destroyed) return
        this.#isOver = true
        this.toServer.close()
        this.toClient.close()
        closed()
      })
    }
  }

  set(direction: Direction, passage: Passage): void {
    for (const flow of this.#flows(direction)) flow.passage = passage
  }

  delay(direction: Direction, ms: number): void {
    for (const flow of this.#flows(direction)) flow.delayMs = ms
  }

  /** Lets bytes pass again, where none were lost; else there is nothing to be saved. */
  heal(): void {
    if (this.toServer.broken || this.toClient.broken) return this.reset()
    this.delay('both', 0)
    this.set('both', 'pass')
  }

  /** RST to both sides. */
  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  #flows(direction: Direction): readonly Flow[] {
    if (direction === 'both') return [this.toServer, this.toClient]
    return [direction === 'toServer' ? this.toServer : this.toClient]
  }

  /** News of a side's abrupt end travel as its bytes do: not at all where these are held or lost. */
  #watch(from: Socket, flow: Flow, to: Socket): void {
    from.on('error', () => {
      from.destroy()
      if (flow.isOpen) to.resetAndDestroy()
      else flow.broken = true
    })
  }
}
