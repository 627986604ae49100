import { ClosedError } from '../../errors.js'
import { type Key, keyOf, plainName } from '../../keys.js'
import { type CallOptions, integer, oneOf } from '../../options.js'
import { randomTag } from '../../random.js'
import type { RedisPort, Reply } from '../../redis/port.js'
import type { TagChange } from '../cdn/surrogate.js'
import { cacheLog, toldIn } from '../log/cache-log.js'
import type { ChangeLog } from '../log/change-log.js'
import { PendingInvalidations, pendingError } from '../pending.js'
import { writeAll } from '../write-all.js'
import { concerning, distinct } from './paths.js'
import type { Version } from './scripts.js'
import { type ChangeOptions, changeOf, TagStore } from './tag-store.js'

/** The last part of an intent, in which a change that obeys its signal has time to roll back. */
const ROLLBACK_SHARE = 0.1

/** Settings of {@link TagVersions}. */
export interface TagVersionsOptions {
  /** Part of every key: 1 to 64 letters, digits, `.`, `_`, `-`. A cache of this name shares its tags. */
  readonly name: string
  /**
   * For how long a snapshot can be compared: what is kept longer counts as changed. Ask for as long as the longest-lived
   * thing that bears a tag. @defaultValue `86_400_000`, a day
   */
  readonly keepMs?: number | undefined
  /** So many replicas of each primary are to know of a change before it resolves. @defaultValue `0` */
  readonly replicas?: number | undefined
  /**
   * How processes that hold what bears these tags hear of a change: the same as the caches that share them. With `'log'` a change
   * is one command more, and has happened once it is in their log. @defaultValue `'tracking'`
   */
  readonly coherence?: 'tracking' | 'log' | undefined
  /** Told of every failure that does not reach a caller: a change that is tried again, an intent that Redis did not take. */
  readonly onError?: ((error: Error, context: { readonly key: string }) => void) | undefined
  /**
   * Told of tags after Redis has taken their change, by this object; to purge a CDN, with {@link purging}. Nobody waits for it,
   * and what it throws goes to `onError`: who must not miss one hangs it to an `outbox`. @defaultValue none
   */
  readonly onChange?: ((change: TagChange) => unknown) | undefined
}

/**
 * What was known of tags at a moment, and of those above them: plain data, to be kept with whatever was made then. `null`
 * for a tag that was being changed, which compares as changed for ever.
 */
export type TagSnapshot = Readonly<Record<string, string | null>>

/** Options of {@link TagVersions.mutate}. */
export interface TagMutateOptions extends ChangeOptions {
  /** How long the change may take and be covered. @defaultValue `10_000` */
  readonly intentMs?: number | undefined
  /** How far the replicas of the database may be behind, if what bears the tags is read from them. @defaultValue `0` */
  readonly replicaLagMs?: number | undefined
}

/** The tags as one tenant sees them, or all of them where there are no tenants. */
export class TagView {
  readonly #port: RedisPort
  readonly #settings: Settings
  readonly #pending: PendingInvalidations
  readonly #store: TagStore
  readonly #tenant: string | undefined

  /** @internal */
  constructor(port: RedisPort, settings: Settings, pending: PendingInvalidations, tenant?: string) {
    this.#tenant = tenant
    this.#port = port
    this.#settings = settings
    this.#pending = pending
    const space = { namespace: port.namespace, pattern: 'tag', name: settings.name, tenant }
    this.#store = new TagStore(port, {
      keyOf: (path) => keyOf(space, path.split('/')),
      keepMs: settings.keepMs,
    })
  }

  /**
   * Changes the tags: everything that bears them, or tags below them, is out of date once this has resolved. One round
   * trip a node; harmless to repeat.
   *
   * @throws {@link InvalidationPendingError} if Redis does not answer for some of them. It goes on being tried in the
   *   background until it succeeds or this object is closed.
   */
  async bump(tags: readonly string[], options: ChangeOptions = {}): Promise<void> {
    this.#checkOpen()
    const { deadlineMs, signal } = options
    const replicas = integer('replicas', options.replicas ?? this.#settings.replicas, { min: 0 })
    const paths = distinct(tags)
    const keys = paths.map((tag) => this.#store.keyOf(tag))
    const terms = { replicas, deadlineMs, signal }
    const results = await writeAll(this.#port, keys.map(changeOf), terms)
    this.#leave(paths, await toldIn(this.#settings.log, keys, results, terms), replicas)
  }

  /** What is known of these tags and of those above them. Take it **before** what bears them is read. */
  async snapshot(tags: readonly string[], options: CallOptions = {}): Promise<TagSnapshot> {
    this.#checkOpen()
    const paths = concerning(tags)
    const versions = await this.#store.look(paths, options)
    return Object.fromEntries(paths.map((path, i) => [path, versions[i]?.toString('base64url') ?? null]))
  }

  /** Which of them have changed since, or were being changed when the snapshot was taken; empty if none. */
  async changedSince(snapshot: TagSnapshot, options: CallOptions = {}): Promise<readonly string[]> {
    this.#checkOpen()
    const paths = Object.keys(snapshot)
    const versions = await this.#store.versions(paths, options)
    const same = (version: Version, path: string) =>
      version !== undefined &&
      version.toString('base64url') === snapshot[path] &&
      // Redis still has what this process was told to change.
      !this.#pending.has(this.#store.keyOf(path))
    return paths.filter((path, i) => !same(versions[i], path))
  }

  /**
   * Changes the tags around a change of the database: they change before it and after it, and nothing read in between can
   * be stored under them; should this process die after the commit, the end of the intent is the change. Redis away does
   * not stop the change.
   *
   * @param transaction resolves once it is committed; its signal aborts shortly before the intent ends
   * @throws whatever `transaction` throws; {@link InvalidationPendingError} with what it returned as `written`, if Redis
   *   could not be told of the end
   */
  async mutate<R>(
    tags: readonly string[],
    options: TagMutateOptions,
    transaction: (context: { readonly signal: AbortSignal }) => R | Promise<R>,
  ): Promise<R> {
    this.#checkOpen()
    const { intentMs = 10_000, replicaLagMs = 0, replicas = this.#settings.replicas, ...rest } = options
    const terms = { ...rest, replicas }
    const coveredMs = integer('intentMs', intentMs)
    const lingerMs = integer('replicaLagMs', replicaLagMs, { min: 0 })
    const paths = distinct(tags)
    const keys = paths.map((path) => this.#store.keyOf(path))
    const token = randomTag(16).toString('base64url')
    const from = performance.now()
    const told = (results: readonly PromiseSettledResult<Reply>[]) =>
      toldIn(this.#settings.log, keys, results, terms)
    const announced = await told(await this.#store.intend(paths, token, coveredMs, terms))
    for (const [i, result] of announced.entries()) {
      if (result.status === 'rejected') this.#settings.report(result.reason, keys[i])
    }
    const leftMs = coveredMs * (1 - ROLLBACK_SHARE) - (performance.now() - from)
    const signal = AbortSignal.timeout(Math.max(0, Math.floor(leftMs)))
    const settle = async () => await told(await this.#store.settle(paths, token, lingerMs, terms))
    let written: R
    try {
      written = await transaction({ signal })
    } catch (error) {
      // It may have been committed all the same: a connection can break between the commit and its answer.
      const results = await settle()
      void Promise.all(this.#take(paths, results, replicas))
      throw error
    }
    this.#leave(paths, await settle(), replicas, written)
    return written
  }

  #leave(
    paths: readonly string[],
    results: readonly PromiseSettledResult<unknown>[],
    replicas: number,
    written?: unknown,
  ): void {
    const left = this.#take(paths, results, replicas)
    let cause: unknown
    for (const [i, path] of paths.entries()) {
      const result = results[i]
      if (result?.status === 'fulfilled') continue
      cause ??= result?.reason
      this.#settings.report(result?.reason, this.#store.keyOf(path))
    }
    if (left.length > 0) throw pendingError(left, ['change a tag', 'change # tags'], { cause, written })
  }

  /** Goes on trying with what Redis did not take, and tells of the rest, now or then. */
  #take(
    paths: readonly string[],
    results: readonly PromiseSettledResult<unknown>[],
    replicas: number,
  ): readonly Promise<boolean>[] {
    const tell = (tags: readonly string[]) => this.#settings.tell(tags, this.#tenant)
    tell(paths.filter((_, i) => results[i]?.status === 'fulfilled'))
    return paths
      .filter((_, i) => results[i]?.status !== 'fulfilled')
      .map(async (path) => {
        const isReached = await this.#pending.add(this.#store.keyOf(path), replicas)
        if (isReached) tell([path])
        return isReached
      })
  }

  #checkOpen(): void {
    if (this.#settings.closed.aborted) throw new ClosedError('these tags have been closed')
  }
}

/**
 * Tags whose change costs one command, whatever number of things bears them: a tag has a random version, a change takes
 * it away, and whatever bears another version than the tag has now is out of date. No clock and no counter is compared,
 * so nothing that was invalidated becomes valid again. `org:7` covers `org:7/users` and everything below.
 *
 * Guaranteed: after `bump` has resolved, `changedSince` names the tag for every snapshot taken before. Not guaranteed: a
 * change that a primary acknowledged and lost in a failover (`replicas` closes that); and a tag may count as changed
 * although nothing has happened, after an eviction or `keepMs`.
 *
 * @example
 * ```ts
 * import { TagVersions } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const tags = new TagVersions(await connect('redis://127.0.0.1:7000'), { name: 'pages' })
 * const snapshot = await tags.snapshot(['org:7/users'])
 * // render the page, and keep the snapshot with it
 * await tags.bump(['org:7'])
 * console.log(await tags.changedSince(snapshot)) // [ 'org:7' ]
 * ```
 */
export class TagVersions extends TagView {
  readonly #port: RedisPort
  readonly #settings: Settings
  readonly #pending: PendingInvalidations
  readonly #closing: AbortController

  constructor(port: RedisPort, options: TagVersionsOptions) {
    const closing = new AbortController()
    const settings = settingsOf(port, options, closing.signal)
    const pending = new PendingInvalidations(port, {
      callOf: changeOf,
      told: (keys, results) => toldIn(settings.log, keys, results, { replicas: settings.replicas }),
      report: settings.report,
      changed: () => {},
    })
    super(port, settings, pending)
    this.#port = port
    this.#settings = settings
    this.#pending = pending
    this.#closing = closing
  }

  /** The tags of one tenant, which have nothing to do with those of another. Costs nothing, and ends with this object. */
  forTenant(tenant: string): TagView {
    return new TagView(this.#port, this.#settings, this.#pending, tenant)
  }

  /** Refuses further calls and gives up what is still being tried. The port stays open. Idempotent. */
  close(): void {
    this.#closing.abort()
    this.#pending.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close()
    return Promise.resolve()
  }
}

/** What tags were told, checked and with its defaults. */
interface Settings {
  readonly name: string
  readonly keepMs: number
  readonly replicas: number
  readonly log: ChangeLog | undefined
  readonly closed: AbortSignal
  readonly report: (error: unknown, key: Key | undefined) => void
  /** Tells `onChange`. */
  readonly tell: (tags: readonly string[], tenant: string | undefined) => void
}

function settingsOf(
  port: RedisPort,
  { name, coherence = 'tracking', keepMs = 86_400_000, replicas = 0, onError, onChange }: TagVersionsOptions,
  closed: AbortSignal,
): Settings {
  const isLogged = oneOf('coherence', coherence, ['tracking', 'log']) === 'log'
  const settings: Settings = {
    name: plainName('name', name),
    log: isLogged ? cacheLog(port, name) : undefined,
    keepMs: integer('keepMs', keepMs),
    replicas: integer('replicas', replicas, { min: 0 }),
    closed,
    report: (error, key) => {
      try {
        onError?.(error instanceof Error ? error : new Error(String(error)), { key: key ?? '' })
      } catch {
        // A listener that throws must not break what is being tried again.
      }
    },
    tell: (tags, tenant) => {
      if (onChange === undefined || tags.length === 0) return
      const told = async () => await onChange({ name, tenant, tags })
      void told().catch((error: unknown) => settings.report(error, undefined))
    },
  }
  return settings
}
