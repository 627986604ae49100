import type { Flight } from './flight.js'
import { type Endpoint, type Link, type OpenLink, type Outcome, type Outgoing } from './link.js'
import type { Argument } from './port.js'

/** What a queue tells the port. */
export interface QueueEvents {
  ended(flight: Flight, attempt: number, outcome: Outcome): void
  ready(queue: NodeQueue): void
  down(queue: NodeQueue, cause: unknown): void
}

/** `host:port`, the name of a node in messages and maps. */
export const addressOf = ({ host, port }: Endpoint): string => `${host}:${port}`

interface Waiting {
  readonly flight: Flight
  readonly attempt: number
  readonly commands: readonly (readonly [name: string, ...args: Argument[]])[]
}

/** The calls of one turn of the event loop become one write to the node. */
export class NodeQueue {
  readonly address: string
  readonly #link: Link
  readonly #events: QueueEvents
  #waiting: Waiting[] = []
  #lastHeardAt = performance.now()
  /** Why the node cannot be reached; `undefined` while it can. */
  downBecause: unknown = 'not connected yet'

  constructor(endpoint: Endpoint, open: OpenLink, events: QueueEvents) {
    this.address = addressOf(endpoint)
    this.#events = events
    this.#link = open(endpoint, {
      ready: () => {
        this.downBecause = undefined
        this.#lastHeardAt = performance.now()
        events.ready(this)
      },
      down: (cause) => {
        this.downBecause = cause ?? 'the connection was closed'
        events.down(this, cause)
      },
    })
  }

  get ready(): boolean {
    return this.#link.ready
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

  /** Nothing was heard since then, although something was asked: the node or the way to it hangs. */
  silentSince(sentAt: number): boolean {
    return this.#lastHeardAt < sentAt
  }

  reset(): void {
    this.#link.reset()
  }

  close(): void {
    this.#link.close()
  }

  #flush(): void {
    const batch: Outgoing[] = []
    const waiting = this.#waiting
    this.#waiting = []
    for (const { flight, attempt, commands } of waiting) {
      // Given up or sent elsewhere before it left.
      if (flight.settled || flight.attempt !== attempt) continue
      flight.sent = true
      const last = commands.length - 1
      for (const [index, command] of commands.entries()) {
        batch.push({
          command,
          binary: flight.request.binary,
          settled: (outcome) => {
            if (outcome.kind === 'reply' || outcome.kind === 'refused') this.#lastHeardAt = performance.now()
            if (index === last) this.#events.ended(flight, attempt, outcome)
          },
        })
      }
    }
    if (batch.length > 0) this.#link.send(batch)
  }
}
