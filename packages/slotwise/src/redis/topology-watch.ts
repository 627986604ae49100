import { ReplyError, UnexpectedReplyError } from '../errors.js'
import { SLOTS } from '../slots.js'
import { publish } from '../telemetry.js'
import { unreachable } from './connect-errors.js'
import { type Endpoint } from './link.js'
import { addressOf } from './node-queue.js'
import type { ClusterNode, Reply, Topology } from './port.js'
import { mergeViews, type NodeView, readClusterNodes, SlotTable } from './topology.js'

export interface WatchSettings {
  readonly refreshMs: number
  /** How long one node may take to say what it knows. */
  readonly timeoutMs: number
  readonly seeds: readonly Endpoint[]
  /** Asks `host:port` for CLUSTER NODES. */
  readonly ask: (address: string, timeoutMs: number) => Promise<Reply>
  readonly isReady: (address: string) => boolean
  readonly addressOf: (node: ClusterNode) => string
  /** Called after every change of the table. */
  readonly changed: () => void
  /** Called after every look with when it began and who answered. */
  readonly looked: (startedAt: number, answered: ReadonlySet<string>) => void
}

/** Nodes asked at once, and how many answers are enough: a node that hangs must not hold up the others' news. */
const ASKED = 3
const ENOUGH = 2
const APART_MS = 50

/** Keeps the table true: asks every so often, and at once when something looks wrong. */
export class TopologyWatch {
  readonly table = new SlotTable()
  readonly #settings: WatchSettings
  readonly #listeners = new Set<(topology: Topology) => void>()
  #timer: NodeJS.Timeout | undefined
  #running = false
  #again = false
  #lastAt = Number.NEGATIVE_INFINITY
  #standalone = false
  #closed = false

  constructor(settings: WatchSettings) {
    this.#settings = settings
  }

  /** Learns the table from the first seed that answers. */
  async start(timeoutMs: number): Promise<void> {
    const { seeds } = this.#settings
    const questions = seeds.map((seed) => this.#firstView(seed, timeoutMs))
    const view = await Promise.any(questions).catch((error: unknown) => {
      throw unreachable(seeds.map(addressOf), error instanceof AggregateError ? error.errors : [error])
    })
    this.#take([view])
    this.#schedule()
  }

  async #firstView(seed: Endpoint, timeoutMs: number): Promise<readonly NodeView[]> {
    try {
      return await this.#view(addressOf(seed), timeoutMs)
    } catch (error) {
      if (!(error instanceof ReplyError) || !/cluster support disabled/i.test(error.message)) throw error
      // One node that owns every slot is what a server without a cluster is.
      this.#standalone = true
      const range = [0, SLOTS - 1] as const
      return [{ id: addressOf(seed), ...seed, role: 'primary', epoch: 0, failed: false, slots: [range] }]
    }
  }

  /** Looks now, or right after the look under way. */
  refresh(): void {
    if (this.#closed || this.#standalone) return
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
    if (this.table.move(slot, known ?? { id: addressOf(to), ...to, role: 'primary' })) this.#announce()
    this.refresh()
  }

  onChange(listener: (topology: Topology) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#listeners.clear()
  }

  #schedule(ms = this.#settings.refreshMs * (0.75 + Math.random() / 2)): void {
    clearTimeout(this.#timer)
    if (this.#closed || this.#standalone) return
    this.#timer = setTimeout(() => {
      void this.#look()
    }, ms).unref()
  }

  async #look(): Promise<void> {
    this.#running = true
    this.#again = false
    const startedAt = performance.now()
    const answered = new Set<string>()
    const views = await this.#views(answered)
    this.#running = false
    this.#lastAt = performance.now()
    if (this.#closed) return
    if (views.length > 0) this.#take(views)
    this.#schedule(this.#askedMeanwhile() ? APART_MS : undefined)
    // Last, since whoever hears of it may ask for another look.
    this.#settings.looked(startedAt, answered)
  }

  #askedMeanwhile(): boolean {
    return this.#again
  }

  /** Resolves with the first few answers; with none when nobody answers in time. Never rejects. */
  #views(answered: Set<string>): Promise<readonly (readonly NodeView[])[]> {
    const { timeoutMs, isReady, seeds } = this.#settings
    const known = this.table.nodes.map((node) => this.#settings.addressOf(node))
    const ready = shuffled(known.filter(isReady)).slice(0, ASKED)
    const asked = ready.length >= ENOUGH ? ready : [...new Set([...ready, ...known, ...seeds.map(addressOf)])]
    return new Promise((resolve) => {
      const views: (readonly NodeView[])[] = []
      let left = asked.length
      const ended = () => {
        left--
        if (left === 0 || views.length >= ENOUGH) resolve(views)
      }
      for (const address of asked) {
        const asking = this.#view(address, timeoutMs).then((view) => {
          views.push(view)
          answered.add(address)
        })
        void asking.catch(() => undefined).finally(ended)
      }
      if (left === 0) resolve([])
    })
  }

  async #view(address: string, timeoutMs: number): Promise<readonly NodeView[]> {
    const reply = await this.#settings.ask(address, timeoutMs)
    const view = typeof reply === 'string' ? readClusterNodes(reply, address.replace(/:\d+$/, '')) : []
    if (view.length > 0) return view
    throw new UnexpectedReplyError(`${address} does not answer CLUSTER NODES as a Redis server does`)
  }

  #take(views: readonly (readonly NodeView[])[]): void {
    if (this.table.replace(mergeViews(views))) this.#announce()
  }

  #announce(): void {
    publish('slotwise:redis', () => ({ kind: 'topology' }))
    this.#settings.changed()
    for (const listener of this.#listeners) listener(this.table)
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
