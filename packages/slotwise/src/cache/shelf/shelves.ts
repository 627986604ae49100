import { ClosedError, ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../../errors.js'
import { type Key, type KeySpace, keyOf } from '../../keys.js'
import { oneOf, shown } from '../../options.js'
import type { RedisPort, Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import { Budget } from '../budget.js'
import { type ErrorContext, Instance } from '../instance.js'
import { invalidateKeys } from '../invalidate.js'
import { look, lookMany } from '../look.js'
import type { Look } from '../look-reply.js'
import { type Put, putAll } from '../put.js'
import type { Filed } from './filed.js'
import { type AdapterOptions, FOREVER_MS, settingsFor } from './options.js'
import takeSource from './take.lua.js'
import { entriesOf, labelOf, type Parts, partsOf, removeBelow } from './walk.js'

/** On which shelf something lies, and under which words there. */
export interface Place {
  readonly shelf: string
  readonly parts: Parts
}

/** Something to be stored; without an end, `undefined`. */
export interface Filing extends Place {
  readonly value: unknown
  readonly ttlMs: number | undefined
}

/** What a look at a place finds. */
export type Sought =
  | { readonly state: 'found'; readonly value: unknown }
  | { readonly state: 'nothing' | 'unreachable' }

/** Not repeated: the value may have gone with an answer that was lost. */
const takeOut = defineScript(takeSource, { repeat: 'unsafe', decode: bytesOrNothing })

/**
 * A cache in the words of other packages' interfaces. Shelves share nothing: none of them lists, reads or clears what
 * lies on another, whatever their names and words are made of.
 */
export class Shelves {
  readonly #instance: Instance
  readonly #whenUnavailable: 'miss' | 'throw'

  constructor(port: RedisPort, options: AdapterOptions) {
    this.#instance = new Instance(port, settingsFor(options))
    this.#whenUnavailable = oneOf('whenUnavailable', options.whenUnavailable ?? 'miss', ['miss', 'throw'])
  }

  /** `undefined` as well for what cannot be read, and unless told otherwise while Redis does not answer in time. */
  async get(place: Place): Promise<unknown> {
    const key = this.#key(place)
    return this.#valueOf(key, await look(this.#instance, key, this.budget()))
  }

  /** {@link get} that tells "not there" from "not known", within a budget that others share. */
  async seek(place: Place, budget: Budget): Promise<Sought> {
    const key = this.#key(place)
    const seen = await look(this.#instance, key, budget)
    if (seen.state === 'found') return { state: 'found', value: (seen.value as Filed).value }
    const isKnown = seen.state !== 'unreachable' || this.#instance.pending.has(key)
    return { state: isKnown ? 'nothing' : 'unreachable' }
  }

  /** What one read may spend on Redis. */
  budget(): Budget {
    return new Budget(this.#instance.pace.budgetMs)
  }

  /** Where it lies. */
  keyOf(place: Place): Key {
    return this.#key(place)
  }

  /** Tells `onError` of a failure that no caller will see. */
  report(error: unknown, operation: ErrorContext['operation'], key: Key | ''): void {
    this.#instance.report(error, operation, key)
  }

  /** One round trip a node, all nodes in parallel. */
  async getMany(places: readonly Place[]): Promise<readonly unknown[]> {
    const keys = places.map((place) => this.#key(place))
    const looks = await lookMany(this.#instance, keys, this.budget())
    return keys.map((key, i) => this.#valueOf(key, looks[i] ?? { state: 'nothing' }))
  }

  /**
   * One round trip a node; the last one counts where several are for the same. Whether each was stored.
   *
   * @throws UncacheableValueError nothing was changed
   * @throws InvalidationPendingError Redis does not answer: so that no older value stays, the entries will be removed
   */
  async put(filings: readonly Filing[]): Promise<readonly boolean[]> {
    const wanted = new Map<Key, Put>()
    const ended = new Set<Key>()
    const keys = filings.map((filing) => {
      const key = this.#key(filing)
      const ttlMs = lifetime(filing.ttlMs)
      const value: Filed = { parts: labelOf(key, filing.parts), value: filing.value }
      wanted.delete(key)
      ended.delete(key)
      if (ttlMs !== undefined && ttlMs <= 0) ended.add(key)
      else wanted.set(key, { key, value, ttlMs, token: undefined })
      return key
    })
    const puts = [...wanted.values()]
    const [results] = await Promise.all([
      putAll(this.#instance, puts, undefined),
      invalidateKeys(this.#instance, [...ended]),
    ])
    const stored = new Set(puts.filter((_, i) => results[i] === true).map(({ key }) => key))
    return keys.map((key) => stored.has(key) || ended.has(key))
  }

  /** Whether each was there. @throws InvalidationPendingError Redis does not answer; it goes on being tried */
  async remove(places: readonly Place[]): Promise<readonly boolean[]> {
    return await invalidateKeys(
      this.#instance,
      places.map((place) => this.#key(place)),
    )
  }

  /** Of several who take the same, one gets it. @throws OutcomeUnknownError it may be gone without being given */
  async take(place: Place): Promise<unknown> {
    const key = this.#key(place)
    if (this.#instance.pending.has(key)) return undefined
    const bytes = await takeOut.run(this.#instance.port, { entry: key }, {}, { binary: true })
    const decoded = bytes === undefined ? undefined : await this.#instance.settings.codec.read(bytes)
    return (decoded?.value as Filed | undefined)?.value
  }

  /** Since when it is there and how much longer, in ms by the server's clock; without an end, `undefined`. */
  async span(
    place: Place,
  ): Promise<{ readonly ageMs: number; readonly leftMs: number | undefined } | undefined> {
    const key = this.#key(place)
    const seen = await look(this.#instance, key, this.budget(), { allowStale: true })
    if (seen.state !== 'found') {
      this.#valueOf(key, seen)
      return undefined
    }
    const { ageMs = 0, keptMs } = seen
    return { ageMs, leftMs: keptMs === FOREVER_MS ? undefined : Math.max(0, keptMs - ageMs) }
  }

  /**
   * The words of everything that lies below these, each once. What is stored or removed while they are listed may
   * be among them or not.
   *
   * @throws RedisUnavailableError a primary does not answer, or slots keep on moving
   */
  async list(shelf: string, below: Parts = []): Promise<readonly Parts[]> {
    return await partsOf(this.#instance, this.#space(shelf), below)
  }

  /** All of a shelf, in the same way; values are read when their turn comes. */
  async *entries(shelf: string): AsyncGenerator<readonly [parts: Parts, value: unknown]> {
    yield* entriesOf(this.#instance, this.#space(shelf))
  }

  /** Removes everything below these words; what is stored meanwhile may stay. @throws as {@link list} and {@link remove} */
  async clear(shelf: string, below: Parts = []): Promise<void> {
    await removeBelow(this.#instance, this.#space(shelf), below)
  }

  /** Refuses further calls. The port stays open. Idempotent. */
  async close(): Promise<void> {
    await this.#instance.close()
  }

  #valueOf(key: Key, seen: Look): unknown {
    if (seen.state === 'found') return (seen.value as Filed).value
    // What this process was told to remove is not there, whatever Redis still has.
    const isMiss = seen.state !== 'unreachable' || this.#instance.pending.has(key)
    if (isMiss || this.#whenUnavailable === 'miss') return undefined
    throw new RedisUnavailableError('Redis has not answered within the budget of a read')
  }

  #space(shelf: string): KeySpace {
    const { port, settings, closed } = this.#instance
    if (closed) throw new ClosedError('the store is closed')
    return { namespace: port.namespace, pattern: 'cache', name: settings.name, tenant: shelf }
  }

  #key({ shelf, parts }: Place): Key {
    return keyOf(this.#space(shelf), parts)
  }
}

function lifetime(ttlMs: unknown): number | undefined {
  if (ttlMs === undefined || ttlMs === null || ttlMs === Infinity) return undefined
  if (typeof ttlMs === 'number' && !Number.isNaN(ttlMs)) return Math.min(FOREVER_MS, Math.ceil(ttlMs))
  throw new ConfigurationError(`a time to live must be a number, got ${shown(ttlMs)}`)
}

function bytesOrNothing(reply: Reply): Buffer | undefined {
  if (reply === null) return undefined
  if (Buffer.isBuffer(reply)) return reply
  throw new UnexpectedReplyError('a look at an entry was answered with something else')
}
