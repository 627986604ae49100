import { Gate } from './gate.js'
import { findPeers, type Peers } from './peers.js'

/** What a node is to be told about the network it is in. */
export interface Announced {
  readonly port: number
  readonly busPort: number
  /** Where the system can tell nodes by their address, the one to speak from. */
  readonly source: string | undefined
}

interface Gates {
  readonly clients: Gate
  readonly bus: Gate
}

/** Who reaches whom. */
interface Split {
  /** Group of each node. */
  readonly groupOf: readonly number[]
  /** Groups that clients reach. */
  readonly reached: readonly number[]
}

/**
 * Between the nodes of a cluster, and between them and their clients: every node is known to the others by two ports
 * of ours, one for clients and replicas, one for the cluster bus.
 */
export class LocalNetwork {
  readonly #peers: Peers
  readonly #gates = new Map<number, Gates>()
  #split: Split | undefined
  readonly #replicationCut = new Set<number>()

  private constructor(peers: Peers) {
    this.#peers = peers
  }

  /** `pids` of the nodes, in their order. */
  static async open(pids: () => readonly number[]): Promise<LocalNetwork> {
    return new LocalNetwork(await findPeers(pids))
  }

  get isSplit(): boolean {
    return this.#split !== undefined
  }

  /** The ports that a node which listens there is known by: the same for good, wherever it listens. */
  async announce(index: number, at: { readonly port: number; readonly busPort: number }): Promise<Announced> {
    const gates = this.#gates.get(index) ?? (await this.#open(index))
    gates.clients.target = { host: '127.0.0.1', port: at.port }
    gates.bus.target = { host: '127.0.0.1', port: at.busPort }
    return { port: gates.clients.port, busPort: gates.bus.port, source: this.#peers.sourceOf(index) }
  }

  split(split: Split): void {
    this.#split = split
    this.#apply()
  }

  cutReplication(replica: number): void {
    this.#replicationCut.add(replica)
    this.#apply()
  }

  heal(): void {
    this.#split = undefined
    this.#replicationCut.clear()
    this.#apply()
  }

  close(): void {
    for (const { clients, bus } of this.#gates.values()) {
      clients.close()
      bus.close()
    }
  }

  async #open(index: number): Promise<Gates> {
    const clients = await Gate.open(this.#peers, (peer) =>
      // Nodes connect to this port of each other to replicate.
      peer === undefined
        ? this.#isOutOfReach(index)
        : this.#replicationCut.has(peer) || this.#apart(index, peer),
    )
    const bus = await Gate.open(this.#peers, (peer) => peer !== undefined && this.#apart(index, peer))
    const gates = { clients, bus }
    this.#gates.set(index, gates)
    return gates
  }

  #isOutOfReach(index: number): boolean {
    return this.#split !== undefined && !this.#split.reached.includes(this.#split.groupOf[index] ?? -1)
  }

  #apart(one: number, other: number): boolean {
    return this.#split !== undefined && this.#split.groupOf[one] !== this.#split.groupOf[other]
  }

  #apply(): void {
    for (const { clients, bus } of this.#gates.values()) {
      clients.apply()
      bus.apply()
    }
  }
}
