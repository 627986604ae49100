import { ClosedError, CrossSlotError, ReplyError, UnexpectedReplyError } from '../errors.js'
import { slotOf } from '../slots.js'
import { publish } from '../telemetry.js'
import { Deadlines } from './deadlines.js'
import { Flight, type Request } from './flight.js'
import type { Endpoint, OpenLink, Outcome } from './link.js'
import { addressOf, NodeQueue } from './node-queue.js'
import type {
  Argument,
  ClusterNode,
  CommandCall,
  PortCallOptions,
  RedisPort,
  Reply,
  ScriptCall,
  Topology,
} from './port.js'
import { type Backoff, backoffMs, verdictOf } from './retry.js'
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

/** Redirections in a row that are followed at once; more means that two nodes disagree, and time will tell. */
const EAGER_REDIRECTIONS = 5

/** What Redis ships with, taken where CONFIG is forbidden. */
const DEFAULT_NODE_TIMEOUT_MS = 15_000

/** The port over any client library that can open a {@link Link}. */
export class ClusterPort implements RedisPort {
  readonly namespace: string
  readonly #settings: PortSettings
  readonly #deadlines = new Deadlines()
  readonly #queues = new Map<string, NodeQueue>()
  readonly #watch: TopologyWatch
  /** Flights that wait for a node or an election, each with how to send it on at once. */
  readonly #paused = new Map<Flight, () => void>()
  readonly #flights = new Set<Flight>()
  /** Answers of nodes that may have been replaced, each with how to go on once another node has been asked. */
  readonly #held = new Map<Flight, { readonly queue: NodeQueue; readonly release: () => void }>()
  #probing: NodeJS.Timeout | undefined
  #nodeTimeoutMs = Number.POSITIVE_INFINITY
  #closed: Promise<void> | undefined
  #drained: (() => void) | undefined

  private constructor(settings: PortSettings) {
    this.#settings = settings
    this.namespace = settings.namespace
    this.#watch = new TopologyWatch({
      refreshMs: settings.topologyRefreshMs,
      timeoutMs: Math.min(settings.commandTimeoutMs, 500),
      seeds: settings.seeds.map((seed) => this.#mapped(seed)),
      ask: async (address, timeoutMs) =>
        this.#start(
          {
            slot: undefined,
            command: ['CLUSTER', 'NODES'],
            script: undefined,
            repeat: 'safe',
            binary: false,
            node: address,
          },
          { deadlineMs: timeoutMs },
        ),
      isReady: (address) => this.#queues.get(address)?.ready === true,
      addressOf: (node) => addressOf(this.#mapped(node)),
      changed: () => {
        this.#follow()
      },
      looked: (startedAt, answered) => {
        this.#confirm(startedAt, answered)
      },
    })
  }

  /** Connects to the first seed that answers and learns the rest from it. */
  static async connect(settings: PortSettings): Promise<ClusterPort> {
    const port = new ClusterPort(settings)
    try {
      for (const seed of settings.seeds) port.#queue(addressOf(port.#mapped(seed)))
      await port.#watch.start(settings.connectTimeoutMs)
      await port.#settle(settings.connectTimeoutMs)
      await port.#learnNodeTimeout()
      port.#probing = setInterval(() => {
        for (const queue of port.#queues.values()) queue.probe(settings.commandTimeoutMs)
      }, settings.topologyRefreshMs).unref()
      return port
    } catch (error) {
      await port.close()
      throw error
    }
  }

  async call(call: CommandCall | ScriptCall, options?: PortCallOptions): Promise<Reply> {
    return this.#start(requestOf(call, options), options)
  }

  pipeline(
    calls: readonly (CommandCall | ScriptCall)[],
    options?: PortCallOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    return Promise.allSettled(calls.map((call) => this.call(call, options)))
  }

  async onNode(node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply> {
    const known = this.#watch.table.nodes.find(({ id }) => id === node)
    const address = known === undefined ? node : addressOf(this.#mapped(known))
    return this.#start(
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
    this.#watch.close()
    clearInterval(this.#probing)
    if (this.#flights.size > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    for (const queue of this.#queues.values()) queue.close()
    this.#queues.clear()
    this.#deadlines.close()
  }

  #start(request: Request, { signal, deadlineMs }: PortCallOptions = {}): Promise<Reply> {
    const ms = deadlineMs ?? this.#settings.commandTimeoutMs
    return new Promise<Reply>((resolve, reject) => {
      // The question who owns what is the port's own, and goes on until the flights under way are done.
      if (this.#closed !== undefined) return reject(new ClosedError('this port has been closed'))
      if (signal?.aborted === true) return reject(signal.reason)
      const flight = new Flight(request, performance.now() + ms, resolve, reject)
      const takeBack = this.#deadlines.set(ms, { expired: () => this.#expired(flight) })
      const onAbort = () => {
        flight.reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      flight.cleanUp = () => {
        takeBack()
        signal?.removeEventListener('abort', onAbort)
        this.#paused.delete(flight)
        this.#held.delete(flight)
        this.#flights.delete(flight)
        if (this.#flights.size === 0) this.#drained?.()
      }
      this.#flights.add(flight)
      this.#dispatch(flight)
    })
  }

  /** Sends a flight to whoever owns its slot now, or lets it wait until somebody does. */
  #dispatch(flight: Flight): void {
    const { slot, node } = flight.request
    const owner = slot === undefined ? undefined : this.#watch.table.ownerOf(slot)
    const address = node ?? (owner === undefined ? undefined : addressOf(this.#mapped(owner)))
    if (address === undefined) {
      this.#watch.refresh()
      return this.#pause(flight, `nobody serves slot ${slot}`)
    }
    this.#send(flight, address, false)
  }

  #send(flight: Flight, address: string, asking: boolean, text = false): void {
    const queue = this.#queue(address)
    flight.node = address
    if (!queue.ready) return this.#pause(flight, queue.downBecause)
    if (this.#isDoubtful(flight, queue)) return this.#pause(flight, `${address} may have been replaced`)
    flight.attempt++
    flight.sent = false
    flight.asking = asking
    flight.sentAt = performance.now()
    const command = text ? asText(flight.request) : flight.request.command
    // ASKING covers the one command behind it, so each attempt brings its own.
    queue.push(flight, asking ? [['ASKING'], command] : [command])
    this.#limitAttempt(flight, queue)
  }

  /** `commandTimeoutMs` bounds one attempt where the whole call may take longer. */
  #limitAttempt(flight: Flight, queue: NodeQueue): void {
    flight.cancelAttempt?.()
    flight.cancelAttempt = undefined
    const { attempt, sentAt } = flight
    const ms = this.#settings.commandTimeoutMs
    if (flight.deadlineAt - sentAt <= ms) return
    flight.cancelAttempt = this.#deadlines.set(ms, {
      expired: () => {
        if (flight.settled || flight.attempt !== attempt || !flight.sent) return
        this.#suspect(queue, sentAt)
        this.#lost(flight, new Error(`no answer within ${ms} ms`))
      },
    })
  }

  #expired(flight: Flight): void {
    const queue = flight.node === undefined ? undefined : this.#queues.get(flight.node)
    if (queue !== undefined && flight.sent) this.#suspect(queue, flight.sentAt)
    flight.expire()
  }

  #suspect(queue: NodeQueue, sentAt: number): void {
    this.#watch.refresh()
    queue.suspect(sentAt)
  }

  /** A question to one node is about that node, whoever owns the slots. */
  #isDoubtful(flight: Flight, queue: NodeQueue): boolean {
    return queue.doubtfulSince !== undefined && flight.request.slot !== undefined
  }

  /** A look that began after the doubt, and heard another node, settles who owns the slots. */
  #confirm(startedAt: number, answered: ReadonlySet<string>): void {
    for (const queue of this.#queues.values()) {
      if (queue.doubtfulSince === undefined) continue
      const others = [...this.#queues.values()].filter((other) => other !== queue && other.ready)
      const isHeard = others.length === 0 || [...answered].some((address) => address !== queue.address)
      if (queue.doubtfulSince > startedAt || !isHeard) {
        this.#watch.refresh()
        continue
      }
      queue.believe()
      for (const { queue: from, release } of Array.from(this.#held.values())) if (from === queue) release()
      this.#wake((flight) => flight.node === queue.address)
    }
  }

  /** Lets a flight try again after a while, or as soon as the cluster or the node is different. */
  #pause(flight: Flight, reason: unknown, moving = false): void {
    flight.attempt++
    flight.sent = false
    flight.delayedBy(reason, moving)
    const { attempt } = flight
    const again = () => {
      clearTimeout(timer)
      this.#paused.delete(flight)
      if (!flight.settled && flight.attempt === attempt) this.#dispatch(flight)
    }
    const timer = setTimeout(again, backoffMs(flight.refusals++, this.#settings.retryBackoffMs)).unref()
    this.#paused.set(flight, again)
  }

  #ended(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void {
    if (flight.settled || flight.attempt !== attempt) return
    if (outcome.kind === 'reply') {
      if (this.#isDoubtful(flight, queue)) return this.#hold(flight, attempt, outcome, queue)
      return flight.resolve(outcome.reply)
    }
    if (outcome.kind === 'unreadable') {
      return flight.reject(
        new UnexpectedReplyError(`${flight.request.command[0]} was executed and answered ${outcome.reason}`),
      )
    }
    if (outcome.kind === 'unsent') return this.#pause(flight, outcome.cause)
    if (outcome.kind === 'lost') return this.#lost(flight, outcome.cause)
    this.#refused(flight, outcome.message)
  }

  /** What a node said that may have been replaced counts if it is still the owner, and else is as good as lost. */
  #hold(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void {
    const release = () => {
      this.#held.delete(flight)
      if (flight.settled || flight.attempt !== attempt) return
      const owner = this.#watch.table.ownerOf(flight.request.slot ?? 0)
      const isOwner = owner !== undefined && addressOf(this.#mapped(owner)) === queue.address
      // The target of a half-moved slot answers for keys it does not own yet.
      if (isOwner || flight.asking) this.#ended(flight, attempt, outcome, queue)
      else this.#lost(flight, new Error(`${queue.address} had been replaced when it answered`))
    }
    this.#held.set(flight, { queue, release })
    this.#watch.refresh()
  }

  #refused(flight: Flight, message: string): void {
    const verdict = verdictOf(message)
    const { node, script, slot } = flight.request
    if (verdict.kind === 'no-script' && script !== undefined && flight.node !== undefined) {
      return this.#send(flight, flight.node, flight.asking, true)
    }
    if (
      node !== undefined ||
      slot === undefined ||
      verdict.kind === 'final' ||
      verdict.kind === 'no-script'
    ) {
      return flight.reject(new ReplyError(message))
    }
    publish('slotwise:redis', () => ({ kind: 'retry', node: flight.node, reason: message }))
    if (verdict.kind === 'later') {
      if (verdict.refresh) this.#watch.refresh()
      return this.#pause(flight, message, verdict.moving)
    }
    // An empty host means "the host you asked".
    const host = verdict.host === '' ? (flight.node ?? '').replace(/:\d+$/, '') : verdict.host
    if (verdict.kind === 'moved') {
      this.#watch.moved(verdict.slot, { host, port: verdict.port })
      if (flight.redirections++ >= EAGER_REDIRECTIONS) return this.#pause(flight, message)
      return this.#dispatch(flight)
    }
    if (flight.redirections++ >= EAGER_REDIRECTIONS) return this.#pause(flight, message)
    this.#send(flight, addressOf(this.#mapped({ host, port: verdict.port })), true)
  }

  #lost(flight: Flight, cause: unknown): void {
    this.#watch.refresh()
    if (flight.request.repeat === 'unsafe') return flight.unknown(cause)
    if (flight.losses++ >= this.#settings.maxRetries) return flight.unknown(cause)
    this.#pause(flight, cause)
  }

  #queue(address: string): NodeQueue {
    const known = this.#queues.get(address)
    if (known !== undefined) return known
    const at = address.lastIndexOf(':')
    const endpoint = { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
    const queue = new NodeQueue(endpoint, this.#settings.open, () => this.#nodeTimeoutMs / 2, {
      ended: (flight, attempt, outcome, from) => {
        this.#ended(flight, attempt, outcome, from)
      },
      ready: () => {
        publish('slotwise:redis', () => ({ kind: 'node-back', node: address }))
        this.#wake((flight) => flight.node === address)
      },
      down: (_, cause) => {
        publish('slotwise:redis', () => ({ kind: 'node-lost', node: address, reason: String(cause) }))
        this.#watch.refresh()
      },
      doubtful: (doubted) => {
        // Nobody could have been elected in its place, and nobody else can be asked.
        if (this.#watch.table.nodes.length < 2) doubted.believe()
        else this.#watch.refresh()
      },
    })
    this.#queues.set(address, queue)
    return queue
  }

  /** After a change of the table: links to every node, replicas too, so that a promoted one is already connected. */
  #follow(): void {
    const wanted = new Set(this.#watch.table.nodes.map((node) => addressOf(this.#mapped(node))))
    for (const address of wanted) this.#queue(address)
    for (const [address, queue] of this.#queues) {
      if (wanted.has(address) || this.#isUsed(address)) continue
      this.#queues.delete(address)
      queue.close()
    }
    this.#wake(() => true)
  }

  #isUsed(address: string): boolean {
    if (this.#watch.table.nodes.length === 0) return true
    for (const flight of this.#flights) if (flight.node === address) return true
    return false
  }

  #wake(which: (flight: Flight) => boolean): void {
    for (const [flight, again] of Array.from(this.#paused)) if (which(flight)) again()
  }

  /** Gives the connections to the primaries a chance to come up before the first call; one that cannot is no obstacle. */
  async #settle(timeoutMs: number): Promise<void> {
    const primaries = this.#watch.table.nodes.filter(({ role }) => role === 'primary')
    await Promise.allSettled(
      primaries.map(({ id }) => this.onNode(id, ['PING'], { deadlineMs: Math.min(timeoutMs, 1000) })),
    )
  }

  /** Half of this is how long a node may be silent and still be the owner for certain. */
  async #learnNodeTimeout(): Promise<void> {
    const [primary, second] = this.#watch.table.nodes
    if (primary === undefined || second === undefined) return
    const asked = this.onNode(primary.id, ['CONFIG', 'GET', 'cluster-node-timeout'], { deadlineMs: 500 })
    const reply = await asked.catch(() => undefined)
    const ms = Array.isArray(reply) ? Number(reply[1]) : Number.NaN
    this.#nodeTimeoutMs = ms > 0 ? ms : DEFAULT_NODE_TIMEOUT_MS
  }

  #mapped(endpoint: Endpoint | ClusterNode): Endpoint {
    const plain = { host: endpoint.host, port: endpoint.port }
    return this.#settings.endpointMap?.(plain) ?? plain
  }
}

function requestOf(call: CommandCall | ScriptCall, options?: PortCallOptions): Request {
  const binary = options?.binary ?? false
  const repeat = call.repeat ?? 'unsafe'
  if ('command' in call) {
    return {
      slot: slotOf(call.key),
      command: call.command,
      script: undefined,
      repeat,
      binary,
      node: undefined,
    }
  }
  const { script, keys, args } = call
  const slot = slotOf(keys[0])
  if (keys.some((key) => slotOf(key) !== slot)) {
    throw new CrossSlotError(keys.map((key) => ({ key, slot: slotOf(key) })))
  }
  const command: readonly [string, ...Argument[]] = ['EVALSHA', script.sha1, keys.length, ...keys, ...args]
  return { slot, command, script, repeat, binary, node: undefined }
}

/** The same run with the script's text, which makes the node know it from then on. */
function asText({ command, script }: Request): readonly [string, ...Argument[]] {
  if (script === undefined) return command
  const [, , ...rest] = command
  return ['EVAL', script.source, ...rest]
}
