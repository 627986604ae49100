import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { ClusterNode } from '../../../src/redis/index.js'

/** Stands between a port and one node, and keeps what the port wrote, write by write. */
export class Tap {
  readonly node: ClusterNode
  readonly chunks: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(node: ClusterNode) {
    this.node = node
    this.#server = createServer((socket) => {
      const behind = createConnection({ host: node.host, port: node.port, noDelay: true })
      for (const end of [socket, behind]) {
        this.#sockets.add(end)
        end.on('error', () => end.destroy())
      }
      socket.on('data', (chunk) => this.chunks.push(chunk.toString('latin1')))
      socket.pipe(behind)
      behind.pipe(socket)
    })
  }

  static async open(node: ClusterNode): Promise<Tap> {
    const tap = new Tap(node)
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', resolve))
    return tap
  }

  get endpoint(): { readonly host: string; readonly port: number } {
    const address = this.#server.address()
    if (typeof address !== 'object' || address === null) throw new Error('the tap is closed')
    return { host: '127.0.0.1', port: address.port }
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
