import { type Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel'

/** Why a call was sent again, or not sent yet: what the server answered, or what became of the connection. */
export type RetryReason =
  /** The slot lives elsewhere now. */
  | 'moved'
  /** The slot is on its way, and this key may have arrived. */
  | 'ask'
  /** Keys of a half-moved slot are at both ends. */
  | 'tryagain'
  | 'clusterdown'
  /** The node became a replica. */
  | 'readonly'
  | 'loading'
  | 'masterdown'
  /** A script runs there for too long. */
  | 'busy'
  /** The connection ended before an answer, or the node had been replaced when it answered. */
  | 'lost'
  /** No answer within `commandTimeoutMs`. */
  | 'timeout'
  /** Nothing was sent: the node is not connected or in doubt, or nobody serves the slot. */
  | 'unavailable'

/**
 * Every event this package publishes, by channel name. Subscribe with `node:diagnostics_channel`; an event
 * costs nothing while nobody listens. Names and payloads are part of the public interface. No event holds a value;
 * keys and resources are in those of the patterns only. A listener must not throw: Node makes that an uncaught exception.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('slotwise:cache', (event) => console.log(event))
 * ```
 */
export interface Events {
  /** A read of a cache was answered, or an entry was invalidated. */
  'slotwise:cache': {
    readonly name: string
    readonly kind:
      | 'local'
      | 'hit'
      | 'stale'
      | 'load'
      | 'wait'
      | 'bypass'
      | 'refused-fill'
      | 'write'
      | 'invalidate'
      | 'error'
      | 'degraded'
      | 'recovered'
    /** Empty for what is not about one entry. */
    readonly key: string
    readonly durationMs: number
  }
  /** An audit of a cache has looked at an entry. Rare. */
  'slotwise:cache:audit': {
    readonly name: string
    readonly key: string
    /** How long after something had happened to the entry. */
    readonly windowMs: number
    readonly outcome: 'consistent' | 'inconsistent' | 'absent' | 'moving' | 'failed'
    /** If it is inconsistent: who gives readers something else than the origin has, and why. */
    readonly where: 'redis' | 'local' | undefined
    readonly because:
      | 'invalidation-lost'
      | 'filled-with-old'
      | 'never-invalidated'
      | 'held-too-long'
      | undefined
    /** Of the look, or the second of two. */
    readonly durationMs: number
  }
  /** A limiter decided. */
  'slotwise:ratelimit': {
    readonly name: string
    readonly key: string
    /** By `planOf`, where the limiter has one. */
    readonly plan: string | undefined
    readonly outcome: 'allowed' | 'limited' | 'blocked' | 'exceeds-capacity' | 'unavailable'
    /** Why it would have been refused, of a limiter that only tries its limits (`shadow`). */
    readonly wouldRefuse: 'limited' | 'blocked' | 'exceeds-capacity' | 'unavailable' | undefined
    /** Tiers that the request would have exceeded. */
    readonly violated: readonly string[]
    readonly durationMs: number
  }
  /** A limiter began or ceased to lease a subject, or has asked for a lease. */
  'slotwise:ratelimit:lease': {
    readonly name: string
    readonly key: string
    readonly kind: /** This process is asked for so much of it that it leases it from here on. */
      | 'hot'
      /** It does not any more. */
      | 'cold'
      | 'granted'
      /** Nothing was there. */
      | 'short'
    /** For `'granted'`: how many. */
    readonly tokens: number
  }
  /** A lock changed hands, or failed to. */
  'slotwise:lock': {
    readonly name: string
    readonly resource: string
    readonly kind:
      | 'acquired'
      | 'busy'
      | 'quarantined'
      | 'unavailable'
      | 'extended'
      | 'released'
      | 'lost'
      /** What a `Once` does had been done already. */
      | 'done'
    readonly durationMs: number
    /** For `'busy'`, of who waits: its place in the line, from 1 on. */
    readonly place: number | undefined
    /** For what ended it, `'released'` or `'lost'`: how long it was held. */
    readonly heldMs: number | undefined
    /** For `'lost'`: its time was over, or somebody else has it. */
    readonly reason: 'expired' | 'taken' | undefined
  }
  /** Somebody has waited for a lock (`acquire`). */
  'slotwise:lock:wait': {
    readonly name: string
    readonly resource: string
    /** `'aborted'` by its caller's signal. */
    readonly outcome: 'acquired' | 'busy' | 'quarantined' | 'unavailable' | 'aborted'
    readonly waitedMs: number
  }
  /** Independent nodes voted on a lock; told when each has, or had its time, which may be after it was decided. */
  'slotwise:lock:votes': {
    readonly name: string
    /** What each of the ports said, counted from 0. */
    readonly votes: readonly {
      readonly node: number
      readonly vote: 'granted' | 'unreachable' | 'quarantined' | 'busy' | 'late' | 'clock'
    }[]
    /** 2 where the nodes gave different tokens, and were told the largest. */
    readonly rounds: 1 | 2
  }
  /** A candidate of this process was elected, or leads no more. Rare. */
  'slotwise:lock:election': {
    readonly name: string
    readonly resource: string
    readonly kind: 'elected' | 'lost' | 'resigned'
  }
  /** An outbox carried changes of Postgres, or could not, or began or ceased to. */
  'slotwise:outbox': {
    /** The table, with its schema. */
    readonly name: string
    readonly kind: /** Redis and the handler have taken them, and they are gone from the table. */
      | 'applied'
      /** They could not be carried this time, and wait. */
      | 'failed'
      /** They can never be carried, and stay in the table, marked. */
      | 'set-aside'
      /** This process consumes from here on. */
      | 'elected'
      /** Postgres failed it: it does not consume, and tries to. */
      | 'interrupted'
    /** How many. */
    readonly events: number
    readonly durationMs: number
    /** For `'applied'`: how long ago the oldest of them had been written. */
    readonly delayMs: number | undefined
    /** For `'interrupted'`. */
    readonly reason: string | undefined
  }
  /** A change of a row was accepted by a write-behind, or not. */
  'slotwise:writebehind': {
    readonly name: string
    readonly kind: 'write' | 'delete' | 'increment'
    /**
     * `'accepted'`; why it was refused, such as `'full'`; or `'invalid'` (it can never be accepted), `'unknown'` (its answer was
     * lost), `'aborted'` by its caller's signal, `'error'`.
     */
    readonly outcome: string
    readonly durationMs: number
  }
  /** A write-behind has written a batch of one partition, or could not. */
  'slotwise:writebehind:flush': {
    readonly name: string
    readonly partition: number
    readonly kind: /** The rows and the position are in the database. */
      | 'written'
      /** They are tried again. */
      | 'failed'
      /** Another process has the partition: nothing of it was written. */
      | 'fenced'
      /**
       * Written, and the journal did not go on from what the database had: a failover has taken back what was accepted, and all
       * that there was of it was written again. It comes beside `'written'`, or alone where there was nothing.
       */
      | 'rewound'
    /** Changes, and the rows that they were about; 0 if it failed before they were read. */
    readonly lines: number
    readonly rows: number
    readonly durationMs: number
    /** For `'written'`: for how long the first of the changes had waited then. */
    readonly delayMs: number | undefined
    /** For `'failed'` and `'fenced'`. */
    readonly reason: string | undefined
  }
  /** Rows that a database does not take were given up, are tried again, or forgotten. */
  'slotwise:writebehind:letters': {
    readonly name: string
    readonly kind: 'given-up' | 'replayed' | 'discarded'
    readonly rows: number
  }
  /** A port learnt something about the cluster, lost or regained a node, or a call is tried again. Rare. */
  'slotwise:redis': /** The table of who serves what is different; what exactly is told by the events behind this one. */
    | { readonly kind: 'topology'; readonly version: number }
    | { readonly kind: 'failover'; readonly from: string; readonly to: string; readonly slots: number }
    | {
        readonly kind: 'slots-moved'
        readonly from: string | undefined
        readonly to: string | undefined
        readonly slots: number
      }
    | { readonly kind: 'node-added' | 'node-removed'; readonly node: string }
    /** The first answer of a node on this port. */
    | { readonly kind: 'node-connected'; readonly node: string }
    /** It does not answer: its breaker is open, and calls to it wait. */
    | { readonly kind: 'node-lost'; readonly node: string; readonly reason: string }
    /** It answers again: its breaker is closed. */
    | { readonly kind: 'node-back'; readonly node: string; readonly awayMs: number }
    /** `reason` as it was told; `why` as one word. */
    | {
        readonly kind: 'retry'
        readonly node: string | undefined
        readonly reason: string
        readonly why: RetryReason
      }
    /** A sharded channel may miss messages from here on. */
    | {
        readonly kind: 'subscription-interrupted'
        readonly node: string | undefined
        readonly reason: string
      }
    /** It hears again. */
    | { readonly kind: 'subscription-resumed'; readonly node: string; readonly awayMs: number }
  /**
   * A call begins, in the asynchronous context of its caller. Only for who has to join beginning and end, as spans do.
   * Not published for commands on a borrowed connection.
   */
  'slotwise:redis:start': {
    /** The same object comes with the end of this call. */
    readonly id: object
    /** Name of the command in capitals; of a script, `EVALSHA`. */
    readonly operation: string
    readonly script: string | undefined
  }
  /**
   * A call has ended, in whichever context its answer came. Not told: calls that began before anybody listened, and the
   * port's own questions.
   */
  'slotwise:redis:call': {
    /** What came with its start; none for commands on a borrowed connection. */
    readonly id: object | undefined
    /** Name of the command in capitals; of a script, `EVALSHA`. */
    readonly operation: string
    /** Name of the script. */
    readonly script: string | undefined
    /** `host:port` of the node asked last. */
    readonly node: string | undefined
    /** `'OK'`, the `code` of the error it ended as, `'ABORTED'` by its caller's signal, or `'OTHER'`. */
    readonly outcome: string
    /** For `'REPLY'`: the server's error code, such as `WRONGTYPE`. A script may make up its own. */
    readonly replyCode: string | undefined
    readonly durationMs: number
    /** How often it was sent. */
    readonly attempts: number
    /** What kept it from being answered at once, and how often. */
    readonly retries: Readonly<Partial<Record<RetryReason, number>>>
    readonly connection: 'shared' | 'dedicated' | 'borrowed'
  }
  /** Somebody asked for a connection of its own. */
  'slotwise:redis:pool': {
    readonly kind:
      | 'borrowed'
      /** All were taken for as long as it could wait. */
      | 'exhausted'
      /** It could not be opened, or its caller gave up. */
      | 'failed'
    readonly node: string
    readonly waitedMs: number
  }
}

/** Held for good: Node forgets a channel that nobody holds, and to look it up for each call would cost more than the call. */
const channels: { readonly [K in keyof Events]: Channel } = {
  'slotwise:cache': channel('slotwise:cache'),
  'slotwise:cache:audit': channel('slotwise:cache:audit'),
  'slotwise:ratelimit': channel('slotwise:ratelimit'),
  'slotwise:ratelimit:lease': channel('slotwise:ratelimit:lease'),
  'slotwise:lock': channel('slotwise:lock'),
  'slotwise:lock:votes': channel('slotwise:lock:votes'),
  'slotwise:lock:election': channel('slotwise:lock:election'),
  'slotwise:lock:wait': channel('slotwise:lock:wait'),
  'slotwise:outbox': channel('slotwise:outbox'),
  'slotwise:writebehind': channel('slotwise:writebehind'),
  'slotwise:writebehind:flush': channel('slotwise:writebehind:flush'),
  'slotwise:writebehind:letters': channel('slotwise:writebehind:letters'),
  'slotwise:redis': channel('slotwise:redis'),
  'slotwise:redis:start': channel('slotwise:redis:start'),
  'slotwise:redis:call': channel('slotwise:redis:call'),
  'slotwise:redis:pool': channel('slotwise:redis:pool'),
}

/** The names of all channels. */
export const CHANNELS = Object.keys(channels) as readonly (keyof Events)[]

/** Publishes an event; the payload is only made when somebody listens. */
export function publish<K extends keyof Events>(name: K, event: () => Events[K]): void {
  const target = channels[name]
  if (target.hasSubscribers) target.publish(event())
}

const starts = channels['slotwise:redis:start']
const cache = channels['slotwise:cache']
const decisions = channels['slotwise:ratelimit']
const calls = channels['slotwise:redis:call']

/** Whether anybody would hear of beginnings, and of ends, of calls: asked for each call, so by the shortest way. */
export const areStartsHeard = (): boolean => starts.hasSubscribers
export const areCallsHeard = (): boolean => calls.hasSubscribers
/** The same of what caches do, for hits that take no longer than the question. */
export const areCachesHeard = (): boolean => cache.hasSubscribers
/** And of what limiters decide by leases. */
export const areDecisionsHeard = (): boolean => decisions.hasSubscribers

/** Hears a channel until the function that is returned is called. */
export function hear<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
  const listen = (event: unknown) => {
    listener(event as Events[K])
  }
  subscribe(name, listen)
  return () => {
    unsubscribe(name, listen)
  }
}
