import { randomInt } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { LocalServerError } from '../../errors.js'

/**
 * Below the ports that systems hand to outgoing connections: a port that is given up for a while is still free
 * when it is wanted back.
 */
const LOWEST = 10_000
const HIGHEST = 32_000
const TRIES = 50

/** Takes connections on a port of 127.0.0.1. */
export class Listener {
  readonly host = '127.0.0.1'
  readonly port: number
  /** Gets every connection: paused, and still open for us where the other side has ended it. */
  accept: (socket: Socket) => void = (socket) => socket.destroy()
  #server: Server | undefined
  #resuming: Promise<void> | undefined

  private constructor(port: number) {
    this.port = port
  }

  /** @throws LocalServerError there is no free port */
  static async open(): Promise<Listener> {
    for (let tries = 1; ; tries++) {
      const listener = new Listener(randomInt(LOWEST, HIGHEST))
      try {
        listener.#server = await listener.#listen()
        return listener
      } catch (error) {
        if (tries < TRIES) continue
        throw new LocalServerError('found no free port on 127.0.0.1', { log: '', cause: error })
      }
    }
  }

  /** Connections are refused from now on, as by a machine on which nothing listens. */
  refuse(): void {
    this.#server?.close()
    this.#server = undefined
  }

  /** @throws LocalServerError somebody else has taken the port meanwhile */
  resume(): Promise<void> {
    this.#resuming ??= this.#resume().finally(() => (this.#resuming = undefined))
    return this.#resuming
  }

  async #resume(): Promise<void> {
    if (this.#server !== undefined) return
    try {
      this.#server = await this.#listen()
    } catch (error) {
      throw new LocalServerError(`somebody else listens on 127.0.0.1:${this.port} by now`, {
        log: '',
        cause: error,
      })
    }
  }

  #listen(): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
        this.accept(socket)
      })
      server.on('error', reject)
      server.listen({ port: this.port, host: this.host, exclusive: true }, () => {
        server.unref()
        resolve(server)
      })
    })
  }
}
