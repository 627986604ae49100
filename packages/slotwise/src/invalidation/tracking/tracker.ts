import { setTimeout as sleep } from 'node:timers/promises'
import type { Key } from '../../keys.js'
import type { BorrowedConnection, ClusterNode, RedisPort, Reply, Topology } from '../../redis/port.js'
import { SLOTS, slotOf } from '../../slots.js'
import type { Demand } from './demand.js'
import { Link } from './link.js'

/** What is heard of tracked keys. */
export interface TrackerEvents {
  /** The key was written, removed, has expired or was evicted. */
  changed(key: string): void
  /** Nothing that is bound to it is told of any more. */
  lost(link: Link): void
  /** These slots have another owner than before. */
  moved(slots: ReadonlySet<number>): void
  failed(error: unknown, node: string): void
}

/** What is tracked, and how closely. */
export interface TrackerSettings {
  /** Beginnings of keys; none is the beginning of another. */
  readonly prefixes: readonly string[]
  /** How often each node is asked for a proof while somebody wants one, in milliseconds. */
  readonly everyMs: number
  /** Keys by number, to be asked for and never written, of which each primary owns some. */
  readonly probe: (n: number) => Key
  /** Nobody is asked for a proof that nobody wants. Without it, proofs are always wanted. */
  readonly demand?: Demand | undefined
}

/** How long a node may take to prove itself, before its connection is made anew. What it vouches for is suspect long before. */
const PATIENCE_MS = 2000
const BACKOFF_MS = { min: 20, max: 2000 }

/**
 * Hears from every primary which keys change: CLIENT TRACKING in broadcasting mode, on a connection of its own to each, so
 * that whoever writes, in whatever language, and whatever expires or is evicted, is heard of.
 *
 * A connection that is silent proves nothing, so each is asked: a read of a key that the node must own, then PING, and
 * when that is answered PING again. The read shows that it is the owner and has a majority; the second answer, that what
 * it changed before the first PING has been delivered, since it sends what it has to tell at the end of each turn of
 * its event loop. (One is not enough: the answer to a PING may overtake the news of a change before it.)
 *
 * @see {@link https://redis.io/docs/latest/develop/reference/client-side-caching/ | Client-side caching}
 */
export class Tracker {
  readonly #port: RedisPort
  readonly #settings: TrackerSettings
  readonly #events: TrackerEvents
  readonly #links = new Map<string, Link>()
  /** By the cluster's id of the primary. */
  readonly #holding = new Map<string, AbortController>()
  readonly #stop = new AbortController()
  readonly #unlisten: () => void

  constructor(port: RedisPort, settings: TrackerSettings, events: TrackerEvents) {
    this.#port = port
    this.#settings = settings
    this.#events = events
    this.#unlisten = port.onTopology((topology, changes) => {
      const moved = new Set<number>()
      for (const change of changes) {
        if (change.kind === 'slots-moved') for (const slot of change.slots) moved.add(slot)
      }
      if (moved.size > 0) events.moved(moved)
      this.#follow(topology)
    })
    this.#follow(port.topology())
  }

  /** What a node tells now, by `host:port` where this process reaches it. */
  linkTo(node: string): Link | undefined {
    return this.#links.get(node)
  }

  /** The primaries that are heard, of all. */
  get heard(): { readonly links: readonly Link[]; readonly of: number } {
    return { links: [...this.#links.values()], of: this.#holding.size }
  }

  close(): void {
    this.#unlisten()
    this.#stop.abort()
    for (const holding of this.#holding.values()) holding.abort()
  }

  #follow({ nodes }: Topology): void {
    if (this.#stop.signal.aborted) return
    const primaries = new Map(nodes.filter(({ role }) => role === 'primary').map((node) => [node.id, node]))
    for (const [id, holding] of this.#holding) {
      if (primaries.has(id)) continue
      this.#holding.delete(id)
      holding.abort()
    }
    for (const [id, node] of primaries) {
      if (this.#holding.has(id)) continue
      const holding = new AbortController()
      this.#holding.set(id, holding)
      void this.#hold(node, holding.signal)
    }
  }

  /** Keeps a connection to one primary until it is none any more. */
  async #hold(node: ClusterNode, stopped: AbortSignal): Promise<void> {
    let backoffMs = BACKOFF_MS.min
    for (let probe = 0; !stopped.aborted; probe++) {
      const key = this.#keyOwnedBy(node.id, probe)
      const from = performance.now()
      try {
        if (key !== undefined) await this.#listen(node.id, key, stopped)
      } catch (error) {
        this.#failed(error, node, stopped)
      }
      // One that has worked for a while is made anew at once.
      if (performance.now() - from > BACKOFF_MS.max) backoffMs = BACKOFF_MS.min
      await pause(backoffMs * (0.5 + Math.random() / 2), stopped)
      backoffMs = Math.min(BACKOFF_MS.max, backoffMs * 2)
    }
  }

  #failed(error: unknown, { host, port }: ClusterNode, stopped: AbortSignal): void {
    if (!stopped.aborted) this.#events.failed(error, `${host}:${port}`)
  }

  async #listen(id: string, key: Key, stopped: AbortSignal): Promise<void> {
    let link: Link | undefined
    const onPush = (message: readonly Reply[]): void => {
      if (message[0] !== 'invalidate') return
      const keys = message[1]
      if (Array.isArray(keys))
        for (const changed of keys as readonly Reply[]) this.#events.changed(String(changed))
      else if (link !== undefined) {
        // Everything is gone (FLUSHALL), and what is read from now on is told of as before.
        const flushed = link
        link = new Link(flushed.node, performance.now())
        link.provedAt = flushed.provedAt
        link.provedAtWall = flushed.provedAtWall
        this.#replace(flushed, link)
      }
    }
    await this.#port.borrow({ key, onPush, signal: stopped }, async (connection) => {
      // The slot went to another primary while a connection was waited for, and whoever is listened to as that one is another.
      if (this.#port.topology().ownerOf(slotOf(key))?.id !== id) return
      const prefixes = this.#settings.prefixes.flatMap((prefix) => ['PREFIX', prefix])
      try {
        await connection.call(['CLIENT', 'TRACKING', 'ON', 'BCAST', ...prefixes])
        link = new Link(connection.node, performance.now())
        this.#links.set(connection.node, link)
        const ended = AbortSignal.any([stopped, connection.signal])
        const isWanted = this.#settings.demand?.listener() ?? always
        while (!ended.aborted) {
          if (isWanted()) {
            const proof = await this.#prove(connection, key)
            link.provedAt = proof.at
            link.provedAtWall = proof.wall
          }
          await pause(this.#settings.everyMs, ended)
        }
      } finally {
        if (link !== undefined) this.#replace(link, undefined)
      }
    })
  }

  async #prove(
    connection: BorrowedConnection,
    key: Key,
  ): Promise<{ readonly at: number; readonly wall: number }> {
    const proof = { at: performance.now(), wall: Date.now() }
    const options = { deadlineMs: PATIENCE_MS }
    const [read] = await connection.pipeline([['EXISTS', key], ['PING']], options)
    if (read?.status !== 'fulfilled') throw read?.reason
    await connection.call(['PING'], options)
    return proof
  }

  #replace(link: Link, next: Link | undefined): void {
    link.isLive = false
    if (this.#links.get(link.node) === link) {
      if (next === undefined) this.#links.delete(link.node)
      else this.#links.set(link.node, next)
    }
    this.#events.lost(link)
  }

  /** A key whose slot the node owns, another one each time; `undefined` if it owns none. */
  #keyOwnedBy(id: string, nth: number): Key | undefined {
    const topology = this.#port.topology()
    let left = nth % 8
    // bound: a node that owns a thousandth of the slots has one among so many, but for one case in 10^7
    for (let n = 0; n < SLOTS; n++) {
      const key = this.#settings.probe(n)
      if (topology.ownerOf(slotOf(key))?.id === id && left-- === 0) return key
    }
    return undefined
  }
}

const always = (): boolean => true

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { ref: false, signal }).catch(() => {})
}
