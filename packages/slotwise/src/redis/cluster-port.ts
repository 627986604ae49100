import { Dispatcher } from './dispatcher.js'
import type { Endpoint, OpenLink } from './link.js'
import { addressOf } from './node-queue.js'
import { Nodes } from './nodes.js'
import type {
  ClusterNode,
  CommandCall,
  PortCallOptions,
  RedisPort,
  Reply,
  ScriptCall,
  Topology,
} from './port.js'
import { requestOf } from './request.js'
import type { Backoff } from './retry.js'
import { TopologyWatch } from './topology-watch.js'

/** What every adapter gives the port. */
export interface PortSettings {
  readonly open: OpenLink
  readonly seeds: readonly Endpoint[]
  readonly namespace: string
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
  readonly maxRetries: number
  readonly retryBackoffMs: Backoff
  readonly topologyRefreshMs: number
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
}

/** What Redis ships with, taken where CONFIG is forbidden. */
const DEFAULT_NODE_TIMEOUT_MS = 15_000

/** The port over any client library that can open a {@link Link}. */
export class ClusterPort implements RedisPort {
  readonly namespace: string
  readonly #settings: PortSettings
  readonly #watch: TopologyWatch
  readonly #nodes: Nodes
  readonly #dispatcher: Dispatcher
  #closed: Promise<void> | undefined

  private constructor(settings: PortSettings) {
    this.#settings = settings
    this.namespace = settings.namespace
    this.#nodes = new Nodes(settings.open, {
      ended: (flight, attempt, outcome, queue) => {
        this.#dispatcher.ended(flight, attempt, outcome, queue)
      },
      ready: ({ address }) => {
        this.#dispatcher.wake((flight) => flight.node === address)
      },
      unsure: () => {
        this.#watch.refresh()
      },
      believed: (queue) => {
        this.#dispatcher.believed(queue)
      },
      isAlone: () => this.#watch.table.nodes.length < 2,
    })
    this.#watch = new TopologyWatch({
      refreshMs: settings.topologyRefreshMs,
      timeoutMs: Math.min(settings.commandTimeoutMs, 500),
      seeds: settings.seeds.map((seed) => this.#mapped(seed)),
      ask: async (address, timeoutMs) =>
        this.#dispatcher.start(
          {
            slot: undefined,
            command: ['CLUSTER', 'NODES'],
            script: undefined,
            repeat: 'safe',
            binary: false,
            node: address,
          },
          { deadlineMs: timeoutMs },
          true,
        ),
      isReady: (address) => this.#nodes.isReady(address),
      addressOf: (node) => this.#reach(node),
      changed: () => {
        this.#follow()
      },
      looked: (startedAt, answered) => {
        this.#nodes.looked(startedAt, answered)
      },
    })
    this.#dispatcher = new Dispatcher({
      commandTimeoutMs: settings.commandTimeoutMs,
      maxRetries: settings.maxRetries,
      retryBackoffMs: settings.retryBackoffMs,
      ownerOf: (slot) => {
        const owner = this.#watch.table.ownerOf(slot)
        return owner && this.#reach(owner)
      },
      reach: (endpoint) => this.#reach(endpoint),
      queueOf: (address) => this.#nodes.queueOf(address),
      refresh: () => {
        this.#watch.refresh()
      },
      moved: (slot, to) => {
        this.#watch.moved(slot, to)
      },
    })
  }

  /** Connects to the first seed that answers and learns the rest from it. */
  static async connect(settings: PortSettings): Promise<ClusterPort> {
    const port = new ClusterPort(settings)
    try {
      for (const seed of settings.seeds) port.#nodes.queueOf(port.#reach(seed))
      await port.#watch.start(settings.connectTimeoutMs)
      await port.#settle(settings.connectTimeoutMs)
      await port.#learnNodeTimeout()
      port.#nodes.probe(settings.topologyRefreshMs, settings.commandTimeoutMs)
      return port
    } catch (error) {
      await port.close()
      throw error
    }
  }

  async call(call: CommandCall | ScriptCall, options?: PortCallOptions): Promise<Reply> {
    return this.#dispatcher.start(requestOf(call, options), options)
  }

  pipeline(
    calls: readonly (CommandCall | ScriptCall)[],
    options?: PortCallOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    return Promise.allSettled(calls.map((call) => this.call(call, options)))
  }

  async onNode(node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply> {
    const known = this.#watch.table.nodes.find(({ id }) => id === node)
    const address = known === undefined ? node : this.#reach(known)
    return this.#dispatcher.start(
      {
        slot: undefined,
        command,
        script: undefined,
        repeat: 'unsafe',
        binary: options?.binary ?? false,
        node: address,
      },
      options,
    )
  }

  async onEachPrimary(command: CommandCall['command'], options?: PortCallOptions) {
    const primaries = this.#watch.table.nodes.filter(({ role }) => role === 'primary')
    const results = await Promise.allSettled(primaries.map(({ id }) => this.onNode(id, command, options)))
    return primaries.flatMap((node, index) => {
      const result = results[index]
      return result === undefined ? [] : [{ node, result }]
    })
  }

  topology(): Topology {
    return this.#watch.table
  }

  onTopology(listener: (topology: Topology) => void): () => void {
    return this.#watch.onChange(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    // A call under way may wait for an election, so somebody goes on looking until it has ended.
    await this.#dispatcher.drain()
    this.#watch.close()
    this.#dispatcher.close()
    this.#nodes.close()
  }

  #follow(): void {
    const { nodes } = this.#watch.table
    this.#nodes.follow(
      new Set(nodes.map((node) => this.#reach(node))),
      (address) => nodes.length === 0 || this.#dispatcher.uses(address),
    )
    this.#dispatcher.wake(() => true)
  }

  /** Gives the connections to the primaries a chance to come up before the first call; one that cannot is no obstacle. */
  async #settle(timeoutMs: number): Promise<void> {
    const primaries = this.#watch.table.nodes.filter(({ role }) => role === 'primary')
    await Promise.allSettled(
      primaries.map(({ id }) => this.onNode(id, ['PING'], { deadlineMs: Math.min(timeoutMs, 1000) })),
    )
  }

  async #learnNodeTimeout(): Promise<void> {
    const [primary, second] = this.#watch.table.nodes
    if (primary === undefined || second === undefined) return
    const asked = this.onNode(primary.id, ['CONFIG', 'GET', 'cluster-node-timeout'], { deadlineMs: 500 })
    const reply = await asked.catch(() => undefined)
    const ms = Array.isArray(reply) ? Number(reply[1]) : Number.NaN
    this.#nodes.timeoutMs = ms > 0 ? ms : DEFAULT_NODE_TIMEOUT_MS
  }

  #mapped(endpoint: Endpoint | ClusterNode): Endpoint {
    const plain = { host: endpoint.host, port: endpoint.port }
    return this.#settings.endpointMap?.(plain) ?? plain
  }

  #reach(endpoint: Endpoint | ClusterNode): string {
    return addressOf(this.#mapped(endpoint))
  }
}
