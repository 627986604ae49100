import { publish } from '../telemetry.js'
import { addressOf } from './address.js'
import type { Endpoint } from './link.js'
import type { ClusterNode, Topology, TopologyChange } from './port.js'
import { mergeViews, type NodeView, SlotTable } from './topology.js'
import { grouped, type Handover, tellOf } from './topology-change.js'

/** What one look at the cluster brought. */
export interface Look {
  readonly views: readonly (readonly NodeView[])[]
  /** `host:port` of the nodes that said so, or `'others'` for somebody who is none of the nodes. */
  readonly answered: ReadonlySet<string> | 'others'
  /** Of those that answered, and know none of our nodes: they have been reset, or never met them. */
  readonly strangers: ReadonlySet<string>
}

/** Whom to ask who owns what. */
export interface TopologySource {
  /** Nothing will ever be different. */
  readonly isFixed: boolean
  readonly isBySentinels?: boolean
  /** From the addresses given at the start. Rejects with what is wrong with them. */
  first(timeoutMs: number): Promise<readonly (readonly NodeView[])[]>
  look(known: readonly ClusterNode[]): Promise<Look>
  close(): void
}

export interface WatchSettings {
  readonly refreshMs: number
  readonly source: TopologySource
  /** Called after every change of the table, and told whether only redirections changed it. */
  readonly changed: (byRedirections: boolean) => void
  /** Called after every look with when it began and what it brought. */
  readonly looked: (startedAt: number, look: Look) => void
  readonly onError: (error: Error) => void
  /** `host:port` where this process reaches it. */
  readonly nameOf: (node: ClusterNode) => string
}

type Listener = (topology: Topology, changes: readonly TopologyChange[]) => void

const APART_MS = 50

/** Keeps the table true: asks every so often, and at once when something looks wrong. */
export class TopologyWatch {
  readonly table: SlotTable
  readonly #settings: WatchSettings
  readonly #listeners = new Set<Listener>()
  /** By redirections, and not announced yet. */
  #redirected: Handover[] = []
  #timer: NodeJS.Timeout | undefined
  /** When the next look is due; in the time of `performance.now()`. */
  #dueAt = 0
  #running = false
  #again = false
  #lastAt = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(settings: WatchSettings) {
    this.#settings = settings
    this.table = new SlotTable(settings.source)
  }

  /** Learns the table from the addresses given. */
  async start(timeoutMs: number): Promise<void> {
    this.#take(await this.#settings.source.first(timeoutMs))
    this.#schedule()
  }

  /** Looks now, or right after the look under way. */
  refresh(): void {
    if (this.#closed || this.#settings.source.isFixed) return
    if (this.#running) {
      this.#again = true
      return
    }
    const wait = this.#lastAt + APART_MS - performance.now()
    this.#schedule(Math.max(0, wait))
  }

  /** A redirection told us about one slot; the rest is asked for. */
  moved(slot: number, to: Endpoint): void {
    const known = this.table.nodes.find(({ host, port }) => host === to.host && port === to.port)
    const owner: ClusterNode = known ?? { id: addressOf(to), ...to, role: 'primary', epoch: 0 }
    const move = this.table.move(slot, owner)
    if (move !== undefined) {
      if (this.#redirected.length === 0) queueMicrotask(() => this.#announceRedirected())
      this.#redirected.push([slot, move.from, owner])
    }
    this.refresh()
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells listeners of something that is not in the table. */
  tell(changes: readonly TopologyChange[]): void {
    for (const listener of Array.from(this.#listeners)) {
      try {
        listener(this.table, changes)
      } catch (error) {
        this.#settings.onError(error instanceof Error ? error : new Error(String(error)))
      }
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#listeners.clear()
    this.#settings.source.close()
  }

  /** Moves a look that is due only to sooner: those who ask for one again and again would else put it off for good. */
  #schedule(ms = this.#settings.refreshMs * (0.75 + Math.random() / 2)): void {
    if (this.#closed || this.#settings.source.isFixed) return
    const dueAt = performance.now() + ms
    if (this.#timer !== undefined && dueAt >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#look()
    }, ms).unref()
  }

  async #look(): Promise<void> {
    this.#running = true
    this.#again = false
    const startedAt = performance.now()
    const look = await this.#settings.source.look(this.table.nodes)
    this.#running = false
    this.#lastAt = performance.now()
    if (this.#isClosed()) return
    if (look.views.length > 0) this.#take(look.views)
    this.#schedule(this.#askedMeanwhile() ? APART_MS : undefined)
    // Last, since whoever hears of it may ask for another look.
    this.#settings.looked(startedAt, look)
  }

  #isClosed(): boolean {
    return this.#closed
  }

  #askedMeanwhile(): boolean {
    return this.#again
  }

  #take(views: readonly (readonly NodeView[])[]): void {
    this.#announceRedirected()
    const changes = this.table.replace(mergeViews(views))
    if (changes !== undefined) this.#announce(changes)
  }

  /** All that came with one read of a socket at once: a failover answers every call under way with a redirection of its own. */
  #announceRedirected(): void {
    const redirected = this.#redirected
    if (redirected.length === 0 || this.#closed) return
    this.#redirected = []
    const moves = grouped(redirected)
    this.#announce(
      moves.map((move) => ({ kind: 'slots-moved', ...move })),
      true,
    )
  }

  #announce(changes: readonly TopologyChange[], byRedirections = false): void {
    publish('slotwise:redis', () => ({ kind: 'topology', version: this.table.version }))
    for (const change of changes) tellOf(change, this.#settings.nameOf)
    this.#settings.changed(byRedirections)
    this.tell(changes)
  }
}
