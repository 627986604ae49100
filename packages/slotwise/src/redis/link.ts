import type { Argument, Reply } from './port.js'

/** One command on its way over a link, and who hears how it ended. */
export interface Outgoing {
  readonly command: readonly [name: string, ...args: Argument[]]
  readonly binary: boolean
  /** Called once. What arrives after the caller gave up is dropped by the caller. */
  readonly settled: (outcome: Outcome) => void
}

/** How a command ended on its link. */
export type Outcome =
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** The server answered with an error; `message` is its text, e.g. `MOVED 12 10.0.0.1:7000`. */
  | { readonly kind: 'refused'; readonly message: string }
  /** It was executed, and the client library cannot say what the answer is. */
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** It never left this process. */
  | { readonly kind: 'unsent'; readonly cause: unknown }
  /** It left, and the connection ended before an answer: executed or not, nobody knows. */
  | { readonly kind: 'lost'; readonly cause: unknown }

/** What an adapter is told to connect to. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** The connection is up. Nobody has logged in on it yet. */
  ready(): void
  /** The connection ended or could not be made; it is tried again until `close`. */
  down(cause: unknown): void
}

/**
 * One multiplexed connection to one node, which reconnects by itself and never queues while it is down. This is
 * all that a client library is asked for; slots, redirections, deadlines and repetition are ours.
 */
export interface Link {
  readonly endpoint: Endpoint
  readonly ready: boolean
  /** Writes all of them at once, in this order. */
  send(batch: readonly Outgoing[]): void
  /** Ends the connection at once, which loses what is under way, and makes a new one. */
  reset(): void
  close(): void
}

export type OpenLink = (endpoint: Endpoint, events: LinkEvents) => Link
