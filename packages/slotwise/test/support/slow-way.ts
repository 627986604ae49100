import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { LocalCluster } from '../../src/local/index.js'

interface Endpoint {
  readonly host: string
  readonly port: number
}

/** A way to every server of a cluster that takes each piece of data so much longer, in both directions. */
export class SlowWay {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #ports = new Map<number, number>()

  static async open(cluster: LocalCluster, ms: number): Promise<SlowWay> {
    const way = new SlowWay()
    for (const { host, port } of cluster.nodes) await way.#forward({ host, port }, ms)
    return way
  }

  /** Where a server is reached over the way; for `endpointMap`. */
  readonly to = ({ host, port }: Endpoint): Endpoint => ({ host, port: this.#ports.get(port) ?? port })

  close(): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  async #forward(node: Endpoint, ms: number): Promise<void> {
    const server = createServer((socket) => {
      const behind = createConnection({ ...node, noDelay: true })
      this.#carry(socket, behind, ms)
      this.#carry(behind, socket, ms)
    })
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (typeof address === 'object' && address !== null) this.#ports.set(node.port, address.port)
  }

  #carry(from: Socket, to: Socket, ms: number): void {
    this.#sockets.add(from)
    from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), ms).unref())
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
}
