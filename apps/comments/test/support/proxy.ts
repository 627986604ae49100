import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Stands between the service and Postgres, and can hold back what Postgres answers, or cut them apart. */
export class SlowLink {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #held: (() => void)[] = []
  #holding = false
  #isCut = false
  readonly url: string

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  static async to(databaseUrl: string): Promise<SlowLink> {
    const target = new URL(databaseUrl)
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const url = new URL(databaseUrl)
    url.host = `127.0.0.1:${address.port}`
    const link = new SlowLink(server, url.href)
    server.on('connection', (near) => {
      if (link.#isCut) {
        near.destroy()
        return
      }
      const far = connect(Number(target.port || 5432), target.hostname)
      near.pipe(far)
      far.on('data', (bytes) => link.#pass(() => near.write(bytes)))
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        link.#sockets.add(one)
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
    })
    return link
  }

  /** How many answers wait. */
  get held(): number {
    return this.#held.length
  }

  hold(): void {
    this.#holding = true
  }

  release(): void {
    this.#holding = false
    for (const send of this.#held.splice(0)) send()
  }

  /** Postgres is away, until it is mended. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  mend(): void {
    this.#isCut = false
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(send: () => void): void {
    if (this.#holding) this.#held.push(send)
    else send()
  }
}
