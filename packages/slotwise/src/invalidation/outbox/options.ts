import { ConfigurationError } from '../../errors.js'
import { plainName } from '../../keys.js'
import { integer, shown } from '../../options.js'
import type { PostgresPool } from '../../postgres.js'
import type { OutboxEvent } from './event.js'
import { type OutboxPlace, type Place, placeOf } from './place.js'

/** What a handler is given besides the events. */
export interface OutboxHandling {
  /** Aborted when `handlerTimeoutMs` is over, the outbox is closed or another process consumes: stop. */
  readonly signal: AbortSignal
  /** Gives an event up: it stays in the table, marked, and holds up nothing. */
  readonly setAside: (event: OutboxEvent, reason: string) => void
}

/** Where a failure that reached no caller happened. */
export interface OutboxErrorContext {
  readonly operation: 'postgres' | 'invalidate' | 'handle' | 'set-aside'
  /** The event, if it was one alone. */
  readonly event: OutboxEvent | undefined
}

/** Settings of {@link outbox}. */
export interface OutboxOptions extends OutboxPlace {
  /**
   * Connections to the server itself: behind a pooler that lends one for a transaction only, locks of a session and `LISTEN` do not
   * hold. The consumer keeps one of them; the others of its processes borrow one for a moment each `pollMs`.
   */
  readonly pool: PostgresPool
  /**
   * Hears of every event after Redis has taken what it names: to purge a CDN, say. At least once; in order for each key; the
   * events are gone from the table once it has resolved, and come again if it rejects. @defaultValue none
   */
  readonly handler?:
    | ((events: readonly OutboxEvent[], handling: OutboxHandling) => void | Promise<void>)
    | undefined
  /** How many events are read at a time, and handed over at most. @defaultValue `500` */
  readonly batchSize?: number | undefined
  /** How often it looks without having been notified, and whether it may take over. @defaultValue `1000` */
  readonly pollMs?: number | undefined
  /** After so long without a word from the consumer, Postgres takes its lock away. @defaultValue `15_000` */
  readonly takeoverMs?: number | undefined
  /** Bound on one statement, and on getting a connection. @defaultValue `10_000` */
  readonly postgresTimeoutMs?: number | undefined
  /** Bound on what one batch may wait for Redis before it is tried again. @defaultValue the port's own */
  readonly deadlineMs?: number | undefined
  /** Bound on the handler, which is told by its signal. @defaultValue `30_000` */
  readonly handlerTimeoutMs?: number | undefined
  /** So many replicas of each primary are to know before an event counts as done. @defaultValue `0` */
  readonly replicas?: number | undefined
  /**
   * Caches with `coherence: 'log'`, by the name that events have: in the logs of which tag space they tell each other, which is
   * the cache's name without its version unless it was told another. What they hold in their processes then hears of events too;
   * a change of tags likewise, by the name of the tags. One command more for each change. @defaultValue none
   */
  readonly logs?: Readonly<Record<string, string>> | undefined
  /** Closes it when aborted. */
  readonly signal?: AbortSignal | undefined
  /** Told of every failure; all but `set-aside` are tried again. */
  readonly onError?: ((error: Error, context: OutboxErrorContext) => void) | undefined
}

/** The same, checked and with its defaults. */
export interface Settings {
  readonly place: Place
  readonly pool: PostgresPool
  readonly handler: OutboxOptions['handler']
  readonly batchSize: number
  readonly pollMs: number
  readonly takeoverMs: number
  readonly timeoutMs: number
  readonly deadlineMs: number | undefined
  readonly handlerTimeoutMs: number
  readonly replicas: number
  readonly logs: ReadonlyMap<string, string>
  readonly report: (cause: unknown, operation: OutboxErrorContext['operation'], event?: OutboxEvent) => void
}

const TIMER = { max: 2 ** 31 - 1 }

export function settingsOf(options: OutboxOptions): Settings {
  const { deadlineMs, onError, pool } = options
  if (typeof (pool as Partial<PostgresPool> | undefined)?.connect !== 'function') {
    throw new ConfigurationError(`pool must be a pool of connections to Postgres, got ${shown(pool)}`)
  }
  return {
    place: placeOf(options),
    pool,
    handler: options.handler,
    batchSize: integer('batchSize', options.batchSize ?? 500, { max: 10_000 }),
    pollMs: integer('pollMs', options.pollMs ?? 1000, TIMER),
    takeoverMs: integer('takeoverMs', options.takeoverMs ?? 15_000, { ...TIMER, min: 100 }),
    timeoutMs: integer('postgresTimeoutMs', options.postgresTimeoutMs ?? 10_000, TIMER),
    deadlineMs: deadlineMs === undefined ? undefined : integer('deadlineMs', deadlineMs, TIMER),
    handlerTimeoutMs: integer('handlerTimeoutMs', options.handlerTimeoutMs ?? 30_000, TIMER),
    replicas: integer('replicas', options.replicas ?? 0, { min: 0 }),
    logs: logsOf(options.logs ?? {}),
    report: (cause, operation, event) => {
      try {
        onError?.(cause instanceof Error ? cause : new Error(String(cause)), { operation, event })
      } catch {
        // A listener that throws must not end what it is told of.
      }
    },
  }
}

function logsOf(logs: unknown): ReadonlyMap<string, string> {
  if (typeof logs !== 'object' || logs === null || Array.isArray(logs)) {
    throw new ConfigurationError(`logs must be tag spaces by the names of caches, got ${shown(logs)}`)
  }
  return new Map(
    Object.entries(logs).map(([name, space]) => [
      plainName('a name in logs', name),
      plainName('a tag space in logs', space),
    ]),
  )
}
