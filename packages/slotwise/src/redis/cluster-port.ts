import { setTimeout as sleep } from 'node:timers/promises'
import { OutcomeUnknownError, RedisUnavailableError, ReplyError, UnexpectedReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { SLOTS, slotOf } from '../slots.js'
import { addressOf } from './address.js'
import { Borrowing } from './borrowing.js'
import { ClusterSource } from './cluster-source.js'
import { unserved } from './connect-errors.js'
import { type CheckedOptions, readEndpoint } from './connect-options.js'
import { Login } from './credentials.js'
import type { SentTo } from './dedicated.js'
import { Dispatcher } from './dispatcher.js'
import { Disks } from './fsync.js'
import type { Endpoint, OpenLink } from './link.js'
import type { NodeQueue } from './node-queue.js'
import { Nodes } from './nodes.js'
import { pipelined } from './pipeline.js'
import { Pools } from './pools.js'
import type {
  BorrowedConnection,
  BorrowTarget,
  BreakerState,
  ClusterNode,
  CommandCall,
  PortCallOptions,
  PortSetup,
  PortStats,
  RedisPort,
  Reply,
  ScriptCall,
  ShardListener,
  ShardSubscription,
  Topology,
  TopologyChange,
  Waited,
  WriteThenWaitOptions,
} from './port.js'
import { readerOf } from './read-from.js'
import { type Request, requestOf, requestTo } from './request.js'
import { SentinelSource } from './sentinel-source.js'
import { ShardSubscriber } from './shard-subscriber.js'
import { beingReplaced } from './topology.js'
import { TopologyWatch } from './topology-watch.js'

/** What every adapter gives the port. */
export interface PortSettings extends CheckedOptions {
  readonly open: OpenLink
}

/** The node stopped being a primary while it waited for its replicas, or before. */
const DEMOTED = /^UNBLOCKED|replica instances/

/** The write has been done by then: a refusal to wait for its replicas must not pass for one of the write. */
function acknowledgements(waited: PromiseSettledResult<Reply> | undefined): number {
  if (waited?.status === 'fulfilled') return Number(waited.value)
  const reason: unknown = waited?.reason
  if (reason instanceof ReplyError && DEMOTED.test(reason.message)) return 0
  const why = reason instanceof Error ? reason.message : String(reason)
  throw new UnexpectedReplyError(`the write was executed, and WAIT was not: ${why}`, { cause: reason })
}

/** Asked for before each read of a cache. */
const CLOSED: BreakerState = { state: 'closed' }

const NODE_ID = /^[\da-f]{40}$/

/** What Redis ships with, taken where CONFIG is forbidden. */
const DEFAULT_NODE_TIMEOUT_MS = 15_000

/** The port over any client library that can open a {@link Link}. */
export class ClusterPort implements RedisPort {
  readonly namespace: string
  readonly setup: PortSetup
  readonly #settings: PortSettings
  readonly #login: Login
  readonly #watch: TopologyWatch
  readonly #nodes: Nodes
  readonly #dispatcher: Dispatcher
  readonly #pools: Pools
  readonly #borrowing: Borrowing
  readonly #disks = new Disks()
  readonly #subscriber: ShardSubscriber
  /** Asked for with every call, and different only when the node is. */
  readonly #addresses = new WeakMap<ClusterNode, string>()
  #closed: Promise<void> | undefined

  private constructor(settings: PortSettings) {
    this.#settings = settings
    this.namespace = settings.namespace
    this.#login = new Login(settings.credentials)
    this.#login.renewed = () => this.#nodes.logInAgain()
    this.#nodes = this.#makeNodes()
    const { connectTimeoutMs, commandTimeoutMs, topologyRefreshMs } = settings
    this.setup = {
      connectTimeoutMs,
      commandTimeoutMs,
      topologyRefreshMs,
      reach: (announced) => this.#mapped(announced),
    }
    this.#watch = new TopologyWatch({
      refreshMs: settings.topologyRefreshMs,
      source: this.#makeSource(),
      changed: (byRedirections) => this.#follow(byRedirections),
      looked: (startedAt, look) => {
        const replaced = new Set(beingReplaced(look.views).map((node) => this.#reach(node)))
        this.#nodes.looked(startedAt, look, replaced)
      },
      onError: settings.onError,
      nameOf: (node) => this.#reach(node),
    })
    const surroundings = {
      ...settings,
      ownerOf: (slot: number) => this.#ownerOf(slot),
      readerOf: (slot: number) => this.#readerOf(slot),
      isReplaced: (address: string) => this.#isReplaced(address),
      serves: (address: string, slot: number, isAsking: boolean) => this.#serves(address, slot, isAsking),
      reach: (endpoint: Endpoint) => this.#reach(endpoint),
      queueOf: (address: string) => this.#nodes.queueOf(address),
      refresh: () => this.#watch.refresh(),
      moved: (slot: number, to: Endpoint) => this.#watch.moved(slot, to),
    }
    this.#dispatcher = new Dispatcher(surroundings)
    const witness = {
      confirm: (sent: SentTo, deadlineAt: number) => this.#confirm(sent, deadlineAt),
      moved: surroundings.moved,
      refresh: surroundings.refresh,
    }
    this.#pools = new Pools(settings, this.#login, witness)
    this.#borrowing = new Borrowing({
      ...surroundings,
      addressOf: (node) => this.#addressOf(node),
      poolOf: (address) => this.#pools.of(address),
      witness,
    })
    this.#subscriber = new ShardSubscriber({
      ...settings,
      ownerOf: surroundings.ownerOf,
      isCertain: (address) => this.#nodes.isReady(address) && this.#nodes.isCertain(address),
      open: (address, hooks) => this.#pools.openPushes(address, hooks),
      moved: witness.moved,
      refresh: surroundings.refresh,
    })
  }

  /** Connects to the first seed that answers and learns the rest from it. */
  static async connect(settings: PortSettings): Promise<ClusterPort> {
    const port = new ClusterPort(settings)
    try {
      if (settings.mode !== 'sentinel') {
        for (const seed of settings.seeds) port.#nodes.queueOf(port.#reach(seed))
      }
      await port.#watch.start(settings.connectTimeoutMs)
      await port.#settle(settings.connectTimeoutMs)
      await port.#learnNodeTimeout()
      port.#nodes.probe(settings.topologyRefreshMs, settings.commandTimeoutMs, () => port.#subscriber.tend())
      port.#pools.start()
      return port
    } catch (error) {
      await port.close()
      throw error
    }
  }

  call(call: CommandCall | ScriptCall, options?: PortCallOptions): Promise<Reply> {
    // Not async: a promise within a promise costs three more turns for each call.
    try {
      return this.#start(requestOf(call, options), options)
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }

  pipeline(
    calls: readonly (CommandCall | ScriptCall)[],
    options?: PortCallOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    return pipelined(calls, options, {
      ownerOf: (slot) => this.#ownerOf(slot),
      launch: (request, resolve, reject, now) => {
        if (request.isDedicated) this.#start(request, options).then(resolve, reject)
        else this.#dispatcher.launch(request, options, resolve, reject, { now })
      },
      flush: (address) => this.#nodes.queueOf(address).flush(),
    })
  }

  async onNode(node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply> {
    return this.#start(requestTo(this.#addressOf(node), command, options), options)
  }

  async onEachPrimary(command: CommandCall['command'], options?: PortCallOptions) {
    const primaries = this.#watch.table.nodes.filter(({ role }) => role === 'primary')
    const results = await Promise.allSettled(primaries.map(({ id }) => this.onNode(id, command, options)))
    return primaries.flatMap((node, index) => {
      const result = results[index]
      return result === undefined ? [] : [{ node, result }]
    })
  }

  async writeThenWait(call: CommandCall | ScriptCall, options: WriteThenWaitOptions): Promise<Waited> {
    const deadlineMs = options.deadlineMs ?? this.#settings.commandTimeoutMs
    const { fsync = false } = options
    const replicas = fsync && options.replicas === undefined ? 0 : integer('replicas', options.replicas)
    const share = fsync && replicas > 0 ? 3 : 2
    // Zero would wait for good.
    const waitMs = integer('waitMs', options.waitMs ?? Math.ceil(deadlineMs / share))
    const waits = replicas === 0 ? [] : [['WAIT', replicas, waitMs] as const]
    let node = ''
    const behind = (at: string) => {
      node = at
      return fsync ? [...waits, ...this.#disks.asked(at, waitMs)] : waits
    }
    const [reply, ...waited] = await this.#borrowing.run(requestOf(call, options), options, behind)
    if (reply?.status === 'rejected') throw reply.reason
    return {
      reply: reply?.value ?? null,
      acknowledgedBy: replicas === 0 ? 0 : acknowledgements(waited[0]),
      fsynced: fsync && this.#disks.isSynced(node, waited.slice(waits.length)),
    }
  }

  borrow<R>(target: BorrowTarget, use: (connection: BorrowedConnection) => Promise<R>): Promise<R> {
    return this.#borrowing.borrow(target, use)
  }

  subscribe(channel: Key, listener: ShardListener, options?: CallOptions): Promise<ShardSubscription> {
    return this.#subscriber.subscribe(channel, listener, options)
  }

  breaker(key: Key): BreakerState {
    const slot = slotOf(key)
    const owner = this.#ownerOf(slot)
    if (owner === undefined) return { state: 'open', forMs: 0, reason: unserved(slot) }
    const queue = this.#nodes.queueOf(owner)
    if (queue.ready) return CLOSED
    const cause = queue.downBecause
    const forMs = performance.now() - (queue.downSince ?? performance.now())
    return { state: 'open', forMs, reason: cause instanceof Error ? cause.message : String(cause) }
  }

  topology(): Topology {
    return this.#watch.table
  }

  stats(): PortStats {
    const { table } = this.#watch
    let slotsUnserved = 0
    for (let slot = 0; slot < SLOTS; slot++) {
      const owner = this.#ownerOf(slot)
      if (owner === undefined || !this.#nodes.isReady(owner)) slotsUnserved++
    }
    return {
      calls: this.#dispatcher.calls,
      slotsUnserved,
      nodes: table.nodes.map((known) => {
        const node = this.#reach(known)
        return { node, role: known.role, isUp: this.#nodes.isReady(node), pool: this.#pools.useOf(node) }
      }),
      subscriptions: this.#subscriber.use,
    }
  }

  onTopology(listener: (topology: Topology, changes: readonly TopologyChange[]) => void): () => void {
    return this.#watch.onChange(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #makeNodes(): Nodes {
    return new Nodes(
      { ...this.#settings, login: this.#login },
      {
        ended: (flight, attempt, outcome, queue) => this.#dispatcher.ended(flight, attempt, outcome, queue),
        ready: (queue) => {
          this.#dispatcher.wake((flight) => flight.node === queue.address)
          this.#subscriber.wake()
          this.#tell(queue, (node) => ({ kind: 'node-back', node }))
        },
        down: (queue, reason, wasUp) => {
          if (queue.refusal !== undefined) this.#dispatcher.refused(queue)
          if (wasUp) this.#tell(queue, (node) => ({ kind: 'node-lost', node, reason }))
        },
        unsure: () => this.#watch.refresh(),
        believed: (queue) => {
          this.#dispatcher.believed(queue)
          this.#subscriber.wake()
        },
        isAlone: () => this.#isAlone(),
      },
    )
  }

  #makeSource() {
    const { sentinel, seeds, commandTimeoutMs, nodeTimeoutMs } = this.#settings
    const timeoutMs = Math.min(commandTimeoutMs, 500)
    const mapped = seeds.map((seed) => this.#mapped(seed))
    if (sentinel !== undefined) {
      const nodeTimeout = (ms: number) => {
        if (nodeTimeoutMs === undefined && ms > 0) this.#nodes.timeoutMs = ms
      }
      return new SentinelSource({ ...this.#settings, sentinel, sentinels: mapped, timeoutMs, nodeTimeout })
    }
    return new ClusterSource({
      ...this.#settings,
      timeoutMs,
      seeds: mapped,
      ask: (address, ms) => this.#ask(address, ['CLUSTER', 'NODES'], ms),
      isReady: (address) => this.#nodes.isReady(address),
      isCertain: (address) => this.#nodes.isCertain(address),
      addressOf: (node) => this.#reach(node),
    })
  }

  #start(request: Request, options: PortCallOptions | undefined): Promise<Reply> {
    if (!request.isDedicated) return this.#dispatcher.start(request, options)
    return this.#borrowing.run(request, options).then(([result]) => {
      if (result?.status === 'rejected') throw result.reason
      return result?.value ?? null
    })
  }

  /** A question of the port's own, which is no call of the application. */
  #ask(address: string, command: CommandCall['command'], deadlineMs: number): Promise<Reply> {
    return this.#dispatcher.start(requestTo(address, command, {}, 'safe'), { deadlineMs }, true)
  }

  async #close(): Promise<void> {
    // A call under way may wait for an election, so somebody goes on looking until it has ended.
    await Promise.all([this.#dispatcher.drain(), this.#borrowing.drain()])
    this.#subscriber.close()
    this.#watch.close()
    this.#dispatcher.close()
    this.#pools.close()
    this.#nodes.close()
    this.#login.close()
  }

  #follow(byRedirections: boolean): void {
    const { nodes } = this.#watch.table
    const addresses = new Set(nodes.map((node) => this.#reach(node)))
    this.#nodes.follow(addresses, (address) => nodes.length === 0 || this.#dispatcher.waitsFor(address))
    const primaries = nodes.filter(({ role }) => role === 'primary').map((node) => this.#reach(node))
    this.#pools.follow(addresses, new Set(primaries))
    this.#dispatcher.wake((flight) => !(byRedirections && flight.isDisputed))
    this.#subscriber.follow(byRedirections)
  }

  #tell(queue: NodeQueue, change: (node: ClusterNode) => TopologyChange): void {
    const node = this.#watch.table.nodes.find((known) => this.#reach(known) === queue.address)
    if (node !== undefined) this.#watch.tell([change(node)])
  }

  /** Gives the connections to the primaries a chance to come up before the first call; one that cannot is no obstacle. */
  async #settle(timeoutMs: number): Promise<void> {
    const primaries = this.#watch.table.nodes.filter(({ role }) => role === 'primary')
    await Promise.allSettled(
      primaries.map((node) => this.#ask(this.#reach(node), ['PING'], Math.min(timeoutMs, 1000))),
    )
  }

  async #learnNodeTimeout(): Promise<void> {
    const { nodeTimeoutMs, sentinel } = this.#settings
    if (nodeTimeoutMs !== undefined) this.#nodes.timeoutMs = nodeTimeoutMs
    const [primary, second] = this.#watch.table.nodes
    if (nodeTimeoutMs !== undefined || sentinel !== undefined) return
    if (primary === undefined || second === undefined) return
    const asked = this.#ask(this.#reach(primary), ['CONFIG', 'GET', 'cluster-node-timeout'], 500)
    const reply = await asked.catch(() => undefined)
    const ms = Array.isArray(reply) ? Number(reply[1]) : Number.NaN
    this.#nodes.timeoutMs = ms > 0 ? ms : DEFAULT_NODE_TIMEOUT_MS
  }

  /** Whatever a node said on a connection of its own counts if it was the owner for certain. */
  async #confirm({ address, slot, chosenAt, isAsking }: SentTo, deadlineAt: number): Promise<void> {
    if (slot === undefined || this.#isAlone()) return
    const unknown = (why: string) =>
      new OutcomeUnknownError(`${address} answered, but ${why}`, { node: address })
    const queue = this.#nodes.known(address)
    if (queue === undefined) throw unknown('it had been replaced')
    // A node of a cluster that knows of its successor says so; one that sentinels replaced may not have been told for seconds.
    const isTold = this.#settings.sentinel === undefined
    if (isTold && queue.isCertain() && chosenAt >= queue.believedAt) return
    while (!queue.isCertain()) {
      if (performance.now() > deadlineAt) throw unknown('it may have been replaced')
      this.#watch.refresh()
      await sleep(2, undefined, { ref: false })
    }
    if (!this.#serves(address, slot, isAsking)) throw unknown('it had been replaced')
  }

  #serves(address: string, slot: number, isAsking: boolean): boolean {
    // The target of a half-moved slot answers for keys it does not own yet.
    return isAsking ? !this.#isReplaced(address) : this.#ownerOf(slot) === address
  }

  #isReplaced(address: string): boolean {
    const { table } = this.#watch
    // One that is gone may be listed still at the address of another.
    const there = table.nodes.filter((node) => this.#reach(node) === address)
    return there.length > 0 && there.every((node) => table.isReplaced(node))
  }

  /** Nobody could have been elected in its place. Sentinels may know of one that is away at the moment. */
  #isAlone(): boolean {
    return this.#settings.sentinel === undefined && this.#watch.table.nodes.length < 2
  }

  #ownerOf(slot: number): string | undefined {
    const owner = this.#watch.table.ownerOf(slot)
    if (owner === undefined) return undefined
    let address = this.#addresses.get(owner)
    if (address === undefined) this.#addresses.set(owner, (address = this.#reach(owner)))
    return address
  }

  #readerOf(slot: number): string | undefined {
    const { table } = this.#watch
    const owner = table.ownerOf(slot)
    if (owner === undefined) return undefined
    const queues = table.replicasOf(owner.id).map((node) => this.#nodes.queueOf(this.#reach(node)))
    const primary = this.#nodes.queueOf(this.#reach(owner))
    return readerOf(this.#settings.readFrom, primary, queues).address
  }

  #addressOf(node: string): string {
    const known = this.#watch.table.nodes.find(({ id }) => id === node)
    if (known !== undefined) return this.#reach(known)
    if (!NODE_ID.test(node)) return addressOf(readEndpoint(node))
    throw new RedisUnavailableError(`no node of this cluster has the id ${node}`, { node })
  }

  #mapped(endpoint: Endpoint | ClusterNode): Endpoint {
    const plain = { host: endpoint.host, port: endpoint.port }
    return this.#settings.endpointMap?.(plain) ?? plain
  }

  #reach(endpoint: Endpoint | ClusterNode): string {
    return addressOf(this.#mapped(endpoint))
  }
}
