import type { Flight } from './flight.js'
import { type Endpoint, type Link, type OpenLink, type Outcome, type Outgoing } from './link.js'
import type { Argument } from './port.js'

/** What a queue tells the port. */
export interface QueueEvents {
  ended(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void
  /** It answers, for the first time or again. */
  ready(queue: NodeQueue): void
  down(queue: NodeQueue, cause: unknown): void
  /** It may have been replaced without knowing: see {@link NodeQueue.doubtfulSince}. */
  doubtful(queue: NodeQueue): void
}

/** `host:port`, the name of a node in messages and maps. */
export const addressOf = ({ host, port }: Endpoint): string => `${host}:${port}`

const NOT_YET = 'not connected yet'

interface Waiting {
  readonly flight: Flight
  readonly attempt: number
  readonly commands: readonly (readonly [name: string, ...args: Argument[]])[]
}

/** The calls of one turn of the event loop become one write to the node; and whether the node is to be believed. */
export class NodeQueue {
  readonly address: string
  readonly #link: Link
  readonly #events: QueueEvents
  readonly #silenceMs: () => number
  #waiting: Waiting[] = []
  #lastHeardAt = performance.now()
  #answers = false
  #pingedAt: number | undefined
  #connections = 0
  /**
   * When the node was last silent for so long, or away, that another may have been elected in its place. A paused
   * primary that wakes up serves what it holds for some milliseconds before it learns that it was replaced, so
   * nothing it says counts until another node has been asked.
   */
  doubtfulSince: number | undefined
  /** Why the node cannot be reached; `undefined` while it can. */
  downBecause: unknown = NOT_YET

  constructor(endpoint: Endpoint, open: OpenLink, silenceMs: () => number, events: QueueEvents) {
    this.address = addressOf(endpoint)
    this.#events = events
    this.#silenceMs = silenceMs
    this.#link = open(endpoint, {
      ready: () => {
        if (this.#connections++ > 0) this.#doubt()
        this.#pingedAt = undefined
        // Why an earlier connection failed tells more, as long as this one has not been answered either.
        if (this.downBecause === NOT_YET) this.downBecause = 'connected, but it does not answer'
        // The kernel accepts connections for a process that is stopped: only an answer shows that it runs.
        this.#ping()
      },
      down: (cause) => {
        this.#answers = false
        this.#pingedAt = undefined
        this.downBecause = cause ?? this.downBecause ?? 'the connection was closed'
        events.down(this, this.downBecause)
      },
    })
  }

  /** It answers. */
  get ready(): boolean {
    return this.#answers && this.#link.ready
  }

  /** Sends these commands back to back, the last of which answers the flight. */
  push(flight: Flight, commands: Waiting['commands']): void {
    if (this.#waiting.length === 0) {
      // After the microtasks of this turn: every call that follows from one batch of replies joins one write.
      queueMicrotask(() => {
        process.nextTick(() => {
          this.#flush()
        })
      })
    }
    this.#waiting.push({ flight, attempt: flight.attempt, commands })
  }

  /**
   * A call ran out of time. If the node has said nothing since, no further call is risked on it until it answers
   * a PING; calls under way keep their chance.
   */
  suspect(sentAt: number): void {
    if (!this.ready || this.#lastHeardAt >= sentAt) return
    this.#answers = false
    this.downBecause = 'it does not answer'
    this.#ping()
    this.#events.down(this, this.downBecause)
  }

  /** Asks whether the node still answers, and gives the connection up when it has not for `timeoutMs`. */
  probe(timeoutMs: number): void {
    if (!this.#link.ready) return
    if (this.#pingedAt === undefined) this.#ping()
    else if (performance.now() - this.#pingedAt > timeoutMs) {
      this.#pingedAt = undefined
      this.#link.reset()
    }
  }

  believe(): void {
    this.doubtfulSince = undefined
  }

  close(): void {
    this.#link.close()
  }

  #doubt(): void {
    this.doubtfulSince ??= performance.now()
    this.#events.doubtful(this)
  }

  #ping(): void {
    if (this.#pingedAt !== undefined || !this.#link.ready) return
    const sentAt = performance.now()
    this.#pingedAt = sentAt
    const settled = (outcome: Outcome) => {
      if (this.#pingedAt !== sentAt) return
      this.#pingedAt = undefined
      if (outcome.kind !== 'reply' && outcome.kind !== 'refused') return
      this.#heard(sentAt)
      if (this.#answers) return
      this.#answers = true
      this.downBecause = undefined
      this.#events.ready(this)
    }
    this.#link.send([{ command: ['PING'], binary: false, settled }])
  }

  #heard(sentAt: number): void {
    const now = performance.now()
    // What was asked before a silence may have been done during it, however many answers came in between.
    const silentMs = now - Math.min(sentAt, this.#lastHeardAt)
    this.#lastHeardAt = now
    if (silentMs > this.#silenceMs()) this.#doubt()
  }

  #flush(): void {
    const batch: Outgoing[] = []
    const waiting = this.#waiting
    this.#waiting = []
    for (const { flight, attempt, commands } of waiting) {
      // Given up or sent elsewhere before it left.
      if (flight.settled || flight.attempt !== attempt) continue
      flight.sent = true
      const { sentAt } = flight
      const last = commands.length - 1
      for (const [index, command] of commands.entries()) {
        batch.push({
          command,
          binary: flight.request.binary,
          settled: (outcome) => {
            if (outcome.kind === 'reply' || outcome.kind === 'refused') this.#heard(sentAt)
            if (index === last) this.#events.ended(flight, attempt, outcome, this)
          },
        })
      }
    }
    if (batch.length > 0) this.#link.send(batch)
  }
}
