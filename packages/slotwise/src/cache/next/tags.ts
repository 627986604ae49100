import { PendingInvalidations, pendingError } from '../../invalidation/pending.js'
import { sendAnew } from '../../invalidation/send-anew.js'
import { type Key, keyOf } from '../../keys.js'
import type { RedisPort, Reply, ScriptCall } from '../../redis/port.js'
import { clock, expire, newName, seen, soften, stamp } from './scripts.js'

/** The version of a tag that an entry bears. */
export type Stamp = readonly [tag: string, version: string]

/** What is known of an entry from its tags. */
export type Standing =
  | { readonly state: 'current'; readonly ageMs: number }
  /** To be served while the next is made. */
  | { readonly state: 'stale'; readonly ageMs: number }
  | { readonly state: 'over' }

/** What is stored with an entry so that its tags can be compared later. */
export interface Stamped {
  readonly stamps: readonly Stamp[]
  /** Not later than when it was begun, by the clock of the server that has the entry; in ms. */
  readonly begunAt: number
  /** When it was finished, by the same clock. */
  readonly madeAt: number
}

/** {@link Stamped}, of something that is new. */
export interface NewlyStamped extends Stamped {
  /** It is stale already: a tag has changed since it was begun. */
  readonly isOvertaken: boolean
}

/** Ages are told in whole milliseconds, twice. */
const ROUNDING_MS = 2

/** Of so many tags it is remembered how this process changed them, and when a render of it was overtaken. */
const REMEMBERED = 1000

/** A change that this process has made, and when it heard that it was made, by `performance.now()`. */
interface OwnChange {
  readonly change: string
  readonly heardAt: number
}

/** What tags are told, checked. */
interface TagSettings {
  readonly name: string
  readonly keepMs: number
  readonly replicas: number
  readonly report: (error: unknown, key: Key) => void
}

/**
 * The tags of Next. What makes them unlike those of a `Cache`: a tag can become stale rather than end, and an entry names its
 * tags when it has been rendered, not before. So a tag remembers when it changed, and what was begun before that does not
 * get the version of after. Compared are ages by one server's clock with time that passed here: clocks may differ as they like.
 */
export class NextTags {
  readonly #port: RedisPort
  readonly #settings: TagSettings
  readonly #pending: PendingInvalidations
  /** What begins after one of these is known to have begun after it, were it by a microsecond. */
  readonly #own = new Map<string, OwnChange>()
  /** When a render ended that a change of the tag has overtaken, or may have, by `performance.now()`. */
  readonly #overtaken = new Map<string, number>()

  constructor(port: RedisPort, settings: TagSettings) {
    this.#port = port
    this.#settings = settings
    this.#pending = new PendingInvalidations(port, {
      callOf: (key) => this.#expireCall(key),
      report: settings.report,
      changed: () => {},
    })
  }

  /**
   * The versions that something has which was begun at `from` (by `performance.now()`) and is finished; `undefined` if it must
   * not be stored: one of the tags has ended since, or is being ended. One round trip a node.
   *
   * @throws RedisUnavailableError nothing is known of one of them
   */
  async stamp(
    entry: Key,
    tags: readonly string[],
    from: number,
    deadlineMs: number,
  ): Promise<NewlyStamped | undefined> {
    const keys = tags.map((tag) => this.#keyOf(tag))
    const terms = {
      since_ms: Math.ceil(performance.now() - from) + deadlineMs,
      keep_ms: this.#settings.keepMs,
    }
    const calls = keys.map((tag) => () => stamp.call({ tag }, { fresh: newName(), ...terms }))
    const results = await this.#ask([() => clock.call({ entry }, {}), ...calls], deadlineMs)
    // The scripts ran before this: what is older by the server's clock was before the beginning.
    const elapsedMs = performance.now() - from + ROUNDING_MS
    const madeAt = clock.decode(results[0] ?? null)
    const stamps: Stamp[] = []
    let isOvertaken = false
    for (const [i, tag] of tags.entries()) {
      const { version, endedMs, changedMs, former, change } = stamp.decode(results[i + 1] ?? null)
      if (this.#isPending(tag)) return undefined
      const own = this.#own.get(tag)
      const isAfter = (agoMs: number | undefined): boolean =>
        !isWithin(agoMs, elapsedMs) || (own?.change === change && own.heardAt <= from)
      if (!isAfter(endedMs) || this.#mayHold(tag, from)) return undefined
      isOvertaken ||= !isAfter(changedMs)
      stamps.push([tag, isAfter(changedMs) ? version : former])
    }
    return { stamps, begunAt: madeAt - Math.ceil(elapsedMs), madeAt, isOvertaken }
  }

  /**
   * Something that bears these tags was rendered and may be older than they are. Next gives a `use cache` that is being
   * rendered to other requests as well, also to those that begin after a change, and what they render of it begins later
   * than it did: nothing of theirs is stored that bears one of the tags and began before this.
   */
  overtaken(tags: readonly string[]): void {
    for (const tag of tags) remember(this.#overtaken, tag, performance.now())
  }

  /** What time it is for the server that has the entry. */
  async timeAt(entry: Key, deadlineMs: number): Promise<number> {
    return await clock.run(this.#port, { entry }, {}, { deadlineMs })
  }

  /**
   * How an entry stands. Tags that it does not bear, but whoever reads it minds, are compared by when they changed.
   *
   * @throws RedisUnavailableError nothing is known of one of them
   */
  async standing(
    entry: Key,
    { stamps, begunAt, madeAt }: Stamped,
    minded: readonly string[],
    deadlineMs: number,
  ): Promise<Standing> {
    const borne = new Map(stamps)
    const tags = [...borne.keys(), ...minded.filter((tag) => !borne.has(tag))]
    const calls = tags.map(
      (tag) => () => seen.call({ tag: this.#keyOf(tag) }, { version: borne.get(tag) ?? '' }),
    )
    const from = performance.now()
    const results = await this.#ask([() => clock.call({ entry }, {}), ...calls], deadlineMs)
    const tookMs = performance.now() - from + ROUNDING_MS
    const now = clock.decode(results[0] ?? null)
    // A clock that was set back tells no age.
    if (now < madeAt) return { state: 'over' }
    let state: 'current' | 'stale' = 'current'
    for (const [i, tag] of tags.entries()) {
      const { isCurrent, leftMs, changedMs } = seen.decode(results[i + 1] ?? null)
      if (this.#isPending(tag)) return { state: 'over' }
      if (!borne.has(tag)) {
        if (isWithin(changedMs, now - begunAt + tookMs)) return { state: 'over' }
      } else if (!isCurrent) {
        if (leftMs <= 0) return { state: 'over' }
        state = 'stale'
      }
    }
    return { state, ageMs: now - madeAt }
  }

  /**
   * Ends what bears one of the tags, or with `staleMs` makes it stale for so long. One command a tag.
   *
   * @throws InvalidationPendingError Redis does not answer: it goes on being tried, and then ends it
   */
  async change(tags: readonly string[], staleMs: number | undefined): Promise<void> {
    const { keepMs, replicas } = this.#settings
    const changed = [...new Set(tags)].map((tag) => ({ tag, key: this.#keyOf(tag), change: newName() }))
    const stale_ms = Math.ceil(Math.min(staleMs ?? 0, keepMs))
    const calls = changed.map(({ key, change }) => () => {
      if (stale_ms <= 0) return this.#expireCall(key, change)
      const args = { fresh: newName(), former: newName(), change, stale_ms, keep_ms: keepMs }
      return soften.call({ tag: key }, args)
    })
    const results = await sendAnew(this.#port, calls, { replicas })
    const left: Promise<boolean>[] = []
    let cause: unknown
    for (const [i, { tag, key, change }] of changed.entries()) {
      const result = results[i]
      if (result?.status === 'fulfilled') {
        remember(this.#own, tag, { change, heardAt: performance.now() })
        continue
      }
      cause ??= result?.reason
      left.push(this.#pending.add(key, replicas))
      this.#settings.report(result?.reason, key)
    }
    if (left.length > 0) throw pendingError(left, ['change a tag', 'change # tags'], { cause })
  }

  /** Gives up what is still being tried. */
  close(): void {
    this.#pending.close()
  }

  #keyOf(tag: string): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'next', name: this.#settings.name }, [tag])
  }

  /** Redis still has what this process was told to change. */
  #isPending(tag: string): boolean {
    return this.#pending.size > 0 && this.#pending.has(this.#keyOf(tag))
  }

  #expireCall(tag: Key, change = newName()): ScriptCall {
    return expire.call({ tag }, { change, keep_ms: this.#settings.keepMs })
  }

  #mayHold(tag: string, from: number): boolean {
    const endedAt = this.#overtaken.get(tag)
    return endedAt !== undefined && from <= endedAt
  }

  async #ask(calls: readonly (() => ScriptCall)[], deadlineMs: number): Promise<readonly Reply[]> {
    const results = await sendAnew(this.#port, calls, { deadlineMs })
    return results.map((result) => {
      if (result.status === 'fulfilled') return result.value
      throw result.reason
    })
  }
}

const isWithin = (agoMs: number | undefined, ms: number): boolean => agoMs !== undefined && agoMs <= ms

/** The newest last; of too many the oldest is forgotten. */
function remember<V>(map: Map<string, V>, tag: string, value: V): void {
  map.delete(tag)
  map.set(tag, value)
  const [oldest] = map.keys()
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest)
}
