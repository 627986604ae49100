import type { Socket } from 'node:net'
import type { Endpoint } from '../redis/link.js'
import { Listener } from '../testing/faults/listener.js'
import { Relay } from '../testing/faults/relay.js'
import type { Peer, Peers } from './peers.js'

/** A port of a node as others know it. Every connection to the node passes here, or waits while it is cut. */
export class Gate {
  readonly port: number
  /** Where the node listens, which may change when it is started anew. */
  target: Endpoint = { host: '127.0.0.1', port: 0 }
  readonly #listener: Listener
  readonly #peers: Peers
  readonly #isCut: (peer: number | undefined) => boolean
  readonly #relays = new Map<Relay, Peer>()
  readonly #newcomers = new Set<Socket>()

  private constructor(listener: Listener, peers: Peers, isCut: (peer: number | undefined) => boolean) {
    this.port = listener.port
    this.#listener = listener
    this.#peers = peers
    this.#isCut = isCut
    listener.accept = (socket) => void this.#accept(socket)
  }

  static async open(peers: Peers, isCut: (peer: number | undefined) => boolean): Promise<Gate> {
    return new Gate(await Listener.open(), peers, isCut)
  }

  /** Cuts and mends, after the answers of `isCut` have changed. */
  apply(): void {
    for (const [relay, peer] of this.#relays) this.#judge(relay, peer)
  }

  close(): void {
    this.#listener.refuse()
    for (const relay of this.#relays.keys()) relay.reset()
    for (const socket of this.#newcomers) socket.destroy()
  }

  async #accept(client: Socket): Promise<void> {
    client.unref()
    client.on('error', () => client.destroy())
    this.#newcomers.add(client)
    const peer = await this.#peers.identify(client)
    this.#newcomers.delete(client)
    if (client.destroyed) return
    const relay: Relay = new Relay({ client, target: this.target, closed: () => this.#relays.delete(relay) })
    this.#relays.set(relay, peer)
    this.#judge(relay, peer)
  }

  /** Held, not lost: a network that was cut for a while delivers what its systems went on sending again. */
  #judge(relay: Relay, peer: Peer): void {
    if (this.#isCut(peer())) relay.set('both', 'hold')
    else relay.heal()
  }
}
