import { publish } from '../telemetry.js'
import { endpointOf } from './address.js'
import type { Login } from './credentials.js'
import type { Flight } from './flight.js'
import type { OpenLink, Outcome } from './link.js'
import { NodeQueue } from './node-queue.js'
import type { Look } from './topology-watch.js'

/** What the port is told of its nodes. */
export interface NodesEvents {
  ended(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void
  ready(queue: NodeQueue): void
  /** `wasUp` unless it was down before; told again when it refuses this user. */
  down(queue: NodeQueue, reason: string, wasUp: boolean): void
  /** Somebody has to look who owns what: a node is gone, or may have been replaced. */
  unsure(): void
  believed(queue: NodeQueue): void
  /** Whether anybody could have been elected in a node's place. */
  isAlone(): boolean
}

/** What every connection is made with. */
export interface NodesSettings {
  readonly open: OpenLink
  readonly login: Login
  readonly clientName: string
}

/** A queue for every node that is known or asked, and whether each of them is to be believed. */
export class Nodes {
  /** Half of this is how long a node may be silent and still be the owner for certain. */
  timeoutMs = Number.POSITIVE_INFINITY
  readonly #settings: NodesSettings
  readonly #events: NodesEvents
  readonly #queues = new Map<string, NodeQueue>()
  #probing: NodeJS.Timeout | undefined

  constructor(settings: NodesSettings, events: NodesEvents) {
    this.#settings = settings
    this.#events = events
  }

  /** The queue of a node that is one still. */
  known(address: string): NodeQueue | undefined {
    return this.#queues.get(address)
  }

  isReady(address: string): boolean {
    return this.#queues.get(address)?.ready === true
  }

  /** Asks every node again and again whether it still answers: often enough that one without calls is not doubted. */
  probe(everyMs: number, timeoutMs: number, tend: () => void): void {
    this.#probing = setInterval(
      () => {
        for (const queue of this.#queues.values()) queue.probe(timeoutMs)
        tend()
      },
      Math.min(everyMs, this.timeoutMs / 4),
    ).unref()
  }

  /** Logs in anew on every connection. */
  logInAgain(): void {
    for (const queue of this.#queues.values()) queue.logInAgain()
  }

  queueOf(address: string): NodeQueue {
    const known = this.#queues.get(address)
    if (known !== undefined) return known
    const events = this.#events
    const settings = { ...this.#settings, silenceMs: () => this.timeoutMs / 2 }
    const queue = new NodeQueue(endpointOf(address), settings, {
      ended: (flight, attempt, outcome, from) => {
        events.ended(flight, attempt, outcome, from)
      },
      ready: (back) => {
        publish('slotwise:redis', () =>
          back.awayMs === undefined
            ? { kind: 'node-connected', node: address }
            : { kind: 'node-back', node: address, awayMs: back.awayMs },
        )
        events.ready(back)
      },
      down: (gone, cause, wasUp) => {
        const reason = cause instanceof Error ? cause.message : String(cause)
        if (wasUp) publish('slotwise:redis', () => ({ kind: 'node-lost', node: address, reason }))
        if (wasUp || gone.refusal !== undefined) events.down(gone, reason, wasUp)
        events.unsure()
      },
      doubtful: (doubted) => {
        if (events.isAlone()) doubted.believe()
        else events.unsure()
      },
    })
    this.#queues.set(address, queue)
    return queue
  }

  /** Links to all of these, replicas too, so that a promoted one is already connected; to no other that is idle. */
  follow(addresses: ReadonlySet<string>, isWaitedFor: (address: string) => boolean): void {
    for (const address of addresses) this.queueOf(address)
    for (const [address, queue] of this.#queues) {
      if (addresses.has(address) || queue.isUsed || isWaitedFor(address)) continue
      this.#queues.delete(address)
      queue.close()
    }
  }

  /** What it says now can be believed. */
  isCertain(address: string): boolean {
    return this.#queues.get(address)?.isCertain() === true
  }

  /**
   * A look that began after the doubt, and heard another node that is not in doubt itself, settles who owns the slots;
   * unless the doubted one is being replaced, which the other may hear of a moment later.
   */
  looked(
    startedAt: number,
    { answered, strangers }: Pick<Look, 'answered' | 'strangers'>,
    replaced: ReadonlySet<string>,
  ): void {
    const queues = [...this.#queues.values()]
    // One that hangs is no witness, even if nobody was elected in its place.
    const certain = queues.filter(
      (queue) => queue.ready && queue.isCertain() && !strangers.has(queue.address),
    )
    for (const queue of queues) {
      if (queue.doubtfulSince === undefined) continue
      // It was this process that stood still, when all of them seem to have been silent.
      const witnesses =
        certain.length > 0 ? certain : queues.filter((other) => other !== queue && other.ready)
      const isHeard =
        answered === 'others' ||
        witnesses.length === 0 ||
        witnesses.some(({ address }) => answered.has(address))
      if (queue.doubtfulSince > startedAt || !isHeard || replaced.has(queue.address)) {
        this.#events.unsure()
        continue
      }
      queue.believe()
      this.#events.believed(queue)
    }
  }

  close(): void {
    clearInterval(this.#probing)
    for (const queue of this.#queues.values()) queue.close()
    this.#queues.clear()
  }
}
