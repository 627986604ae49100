import { ClosedError } from '../../errors.js'
import { plainName } from '../../keys.js'
import { type CallOptions, integer } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { SLOTS } from '../../slots.js'
import { distinct } from '../tags/paths.js'
import { writeAll } from '../write-all.js'
import { ChangeLog, type Position } from './change-log.js'
import { LogReader } from './log-reader.js'

/** Settings of an {@link Invalidator}. */
export interface InvalidatorOptions {
  /** Part of every key: 1 to 64 letters, digits, `.`, `_`, `-`. */
  readonly name: string
  /**
   * Over how many logs what is out of date is spread, each in a slot of its own. The same for everybody of this name.
   * @defaultValue `8`
   */
  readonly logs?: number | undefined
  /** How many entries of each log are kept for those who were away. @defaultValue `10_000` */
  readonly keep?: number | undefined
  /** How often each log is read although nobody was woken, in milliseconds: messages can be lost. @defaultValue `1000` */
  readonly maxDelayMs?: number | undefined
  /** Told of every failure of a subscription. It goes on. */
  readonly onError?: ((error: Error) => void) | undefined
}

/** What is out of date. */
export interface Invalidation {
  /** Names of your own. */
  readonly keys?: readonly string[] | undefined
  /** Tags; one covers what lies below it, as `org:7` does `org:7/users`. */
  readonly tags?: readonly string[] | undefined
}

/** Who hears what is out of date. A method that throws is told to `onError`. */
export interface InvalidationHandler {
  key?(name: string): void
  /** The tag, and everything that bears it or one below it. */
  tag?(tag: string): void
  /** Something was published that will not be told: whatever is known is suspect, of those for which this says so. */
  missed(isSuspect: (name: string) => boolean): void
}

/** How far each log was read, as plain data: to go on from there after a restart. */
export type InvalidationCursor = Readonly<Record<string, Position>>

/** Options of {@link Invalidator.subscribe}. */
export interface SubscribeOptions extends CallOptions {
  /** Where to go on. @defaultValue from when it resolves */
  readonly from?: InvalidationCursor | undefined
}

/** Hears what is published, from when it resolved. */
export interface InvalidationSubscription extends AsyncDisposable {
  /** Until when everything is told that had been published, in the time of `performance.now()`; `-Infinity` if not known. */
  readonly freshAsOfMs: number
  readonly cursor: InvalidationCursor
  /** Idempotent. */
  close(): void
}

/**
 * Tells every process what is out of date, in logs that are kept for those who were away: for servers that do not allow
 * `CLIENT TRACKING`, and for whatever is derived from data and lies outside of Redis.
 *
 * Guaranteed: what `publish` has resolved for is told to every subscription, in the order of each name, at least once, or `missed`
 * is; once `freshAsOfMs` is past that moment, it has been told. Not guaranteed: what a failover lost of a log before anybody had
 * read it, which is neither told nor missed; and how fast, but by `freshAsOfMs`.
 *
 * @example
 * ```ts
 * import { Invalidator } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const rendered = new Map<string, string>()
 * const invalidator = new Invalidator(await connect('redis://127.0.0.1:7000'), { name: 'pages' })
 * await using subscription = await invalidator.subscribe({
 *   key: (name) => rendered.delete(name),
 *   missed: () => rendered.clear(),
 * })
 * await invalidator.publish({ keys: ['/articles/7'] })
 * console.log(subscription.freshAsOfMs)
 * ```
 */
export class Invalidator implements AsyncDisposable {
  readonly #changes: ChangeLog
  readonly #maxDelayMs: number
  readonly #onError: ((error: Error) => void) | undefined
  readonly #subscriptions = new Set<{
    readonly subscription: InvalidationSubscription
    readonly readers: readonly LogReader[]
  }>()
  #closed = false

  constructor(port: RedisPort, options: InvalidatorOptions) {
    this.#changes = new ChangeLog(port, {
      pattern: 'published',
      name: plainName('name', options.name),
      logs: integer('logs', options.logs ?? 8, { max: 1024 }),
      keep: integer('keep', options.keep ?? 10_000, { max: 1_000_000 }),
      // What kind of name it is stands before it.
      bare: (name) => name.slice(1),
    })
    this.#maxDelayMs = integer('maxDelayMs', options.maxDelayMs ?? 1000)
    this.#onError = options.onError
  }

  /**
   * Says what is out of date; call it after the change is committed. One round trip a node; harmless to repeat.
   *
   * @throws RedisUnavailableError of some of it nobody may have been told: do it again
   */
  async publish({ keys = [], tags = [] }: Invalidation, options: CallOptions = {}): Promise<void> {
    if (this.#closed) throw new ClosedError('this invalidator has been closed')
    const names = [...new Set(keys)].map((key) => `k${key}`)
    const calls = this.#changes.appending([...names, ...distinct(tags).map((tag) => `t${tag}`)])
    const results = await writeAll(this.#changes.port, calls, options)
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /**
   * Hears what is published from when this resolves, or from a cursor on.
   *
   * @throws RedisUnavailableError not all logs could be read within `deadlineMs` (10,000)
   */
  async subscribe(
    handler: InvalidationHandler,
    { from = {}, deadlineMs = 10_000, signal }: SubscribeOptions = {},
  ): Promise<InvalidationSubscription> {
    if (this.#closed) throw new ClosedError('this invalidator has been closed')
    const changes = this.#changes
    const told = (act: () => void): void => {
      try {
        act()
      } catch (error) {
        this.#failed(error)
      }
    }
    const readers = changes.logs.map(
      (_, index) =>
        new LogReader(
          changes,
          index,
          { everyMs: this.#maxDelayMs, from: from[index] },
          {
            changed: (name) => told(() => tell(handler, name)),
            missed: (log) =>
              told(() =>
                handler.missed((name) =>
                  [name, ...pathsAbove(name)].some((one) => changes.indexOf(` ${one}`) === log),
                ),
              ),
            failed: (error) => this.#failed(error),
          },
        ),
    )
    const close = (): void => {
      this.#subscriptions.delete(entry)
      for (const reader of readers) reader.close()
    }
    const subscription: InvalidationSubscription = {
      get freshAsOfMs() {
        return Math.min(...readers.map(({ link }) => link?.provedAt ?? Number.NEGATIVE_INFINITY))
      },
      get cursor() {
        return Object.fromEntries(readers.flatMap(({ position }, i) => (position ? [[i, position]] : [])))
      },
      close,
      [Symbol.asyncDispose]: () => Promise.resolve(close()),
    }
    const entry = { subscription, readers }
    this.#subscriptions.add(entry)
    const late = AbortSignal.timeout(deadlineMs)
    const given = signal === undefined ? late : AbortSignal.any([signal, late])
    try {
      await Promise.race([
        Promise.all(readers.map(({ started }) => started)),
        new Promise((_, reject) =>
          given.addEventListener('abort', () => reject(given.reason as Error), { once: true }),
        ),
      ])
      return subscription
    } catch (error) {
      close()
      throw error
    }
  }

  /**
   * The least of what its subscriptions know, `-Infinity` without any; and the slots (as `slotOf` tells them of a name) whose
   * logs cannot be read now, so that nothing is known of the names in them.
   */
  proof(): { readonly freshAsOfMs: number; readonly suspectSlots: ReadonlySet<number> } {
    const all = [...this.#subscriptions]
    const logs = this.#changes.logs.map((_, log) => log)
    const suspects = new Set(
      logs.filter((log) => !all.every(({ readers }) => readers[log]?.link !== undefined)),
    )
    const slots = Array.from({ length: SLOTS }, (_, slot) => slot)
    return {
      freshAsOfMs:
        all.length === 0
          ? Number.NEGATIVE_INFINITY
          : Math.min(...all.map(({ subscription }) => subscription.freshAsOfMs)),
      suspectSlots: new Set(slots.filter((slot) => all.length === 0 || suspects.has(slot % logs.length))),
    }
  }

  /** Ends its subscriptions. The port stays open. Idempotent. */
  close(): void {
    this.#closed = true
    for (const { subscription } of this.#subscriptions) subscription.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.close())
  }

  #failed(error: unknown): void {
    try {
      this.#onError?.(error instanceof Error ? error : new Error(String(error)))
    } catch {
      // A listener that throws must not end what it listens to.
    }
  }
}

function tell(handler: InvalidationHandler, name: string): void {
  if (name.startsWith('k')) handler.key?.(name.slice(1))
  else handler.tag?.(name.slice(1))
}

/** The tags above a tag; what is no tag has none. */
function pathsAbove(name: string): readonly string[] {
  const words = name.split('/')
  return words.slice(1).map((_, i) => words.slice(0, i + 1).join('/'))
}
