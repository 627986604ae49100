import { setTimeout as sleep } from 'node:timers/promises'
import { nameOf, type Opening } from './opening.js'
import { gathered, streamOf } from './stream.js'

/** An entry of `use cache`, as Next makes and takes it. Times in **seconds**, `timestamp` in milliseconds since 1970. */
export interface UseCacheEntry {
  value: ReadableStream<Uint8Array>
  tags: string[]
  stale: number
  timestamp: number
  expire: number
  revalidate: number
}

/**
 * What Next asks of one of its `cacheHandlers`: of Next 16, and of Next 15 where it is still experimental.
 *
 * None of them but `updateTags` and `expireTags` ever rejects.
 */
export interface UseCacheHandler {
  readonly get: (cacheKey: string, softTags?: readonly string[]) => Promise<UseCacheEntry | undefined>
  readonly set: (cacheKey: string, pendingEntry: Promise<UseCacheEntry>) => Promise<void>
  /** Does nothing: nothing is known here of tags that would have to be refreshed. */
  readonly refreshTags: () => Promise<void>
  /** `Infinity`: `get` minds the soft tags itself. */
  readonly getExpiration: () => Promise<number>
  /** @throws InvalidationPendingError Redis does not answer; it goes on being tried */
  readonly updateTags: (
    tags: readonly string[],
    durations?: { readonly expire?: number | undefined },
  ) => Promise<void>
  /** The same by the name and form of Next 15. */
  readonly expireTags: (...tags: readonly string[]) => Promise<void>
}

/** What is said of an entry. */
type About = Omit<UseCacheEntry, 'value' | 'timestamp'>

/** For so long one is waited for that is being rendered here; then it is rendered once more. */
const PENDING_MS = 10_000

/** The wall clock as Next reads it, which does not step. */
const clock = (): number => performance.timeOrigin + performance.now()

/** The handler for `use cache`, on what will be open when it is first needed. */
export function useCacheHandler(opening: Opening): UseCacheHandler {
  const pending = new Map<string, Promise<void>>()
  const save = async (key: string, pendingEntry: Promise<UseCacheEntry>): Promise<void> => {
    const { value, timestamp, ...about } = await pendingEntry
    const store = about.expire > 0 ? await opening.store() : undefined
    const name = await nameOf(opening, key, 'use')
    if (store === undefined || name === undefined) {
      await value.cancel()
      return
    }
    try {
      const bytes = await gathered(value, opening.settings.maxValueBytes)
      await store.put(name, {
        about: about satisfies About,
        fields: { value: bytes },
        tags: about.tags,
        from: Math.min(performance.now(), timestamp - performance.timeOrigin),
        ttlMs: Math.max(1, timestamp + about.expire * 1000 - clock()),
      })
    } catch (error) {
      store.report(error, 'write')
    }
  }

  const get: UseCacheHandler['get'] = async (key, softTags = []) => {
    const saving = pending.get(key)
    if (saving !== undefined) await Promise.race([saving, sleep(PENDING_MS, undefined, { ref: false })])
    const store = await opening.store()
    const name = await nameOf(opening, key, 'use')
    const served = name && (await store?.get(name, softTags))
    const bytes = served?.entry.fields?.['value']
    if (served === undefined || !Buffer.isBuffer(bytes)) return undefined
    const about = served.entry.about as About
    const { begunAt, madeAt } = served.entry
    return {
      ...about,
      tags: [...about.tags],
      // In the past for ever: Next serves it, and makes the next one behind the back of whoever asked.
      revalidate: served.isStale ? -1 : about.revalidate,
      timestamp: clock() - served.ageMs - (madeAt - begunAt),
      value: streamOf(bytes),
    }
  }

  const set: UseCacheHandler['set'] = async (key, pendingEntry) => {
    // What a render fails with reaches whoever rendered.
    const saving = save(key, pendingEntry).catch(() => {})
    pending.set(key, saving)
    await saving
    if (pending.get(key) === saving) pending.delete(key)
  }

  const change = async (tags: readonly string[], expire: number | undefined): Promise<void> => {
    await opening.change(tags, expire === undefined ? undefined : expire * 1000)
  }

  return {
    get,
    set,
    refreshTags: () => Promise.resolve(),
    getExpiration: () => Promise.resolve(Infinity),
    updateTags: (tags, durations) =>
      change(tags, durations === undefined ? undefined : (durations.expire ?? Infinity)),
    expireTags: (...tags) => change(tags, undefined),
  }
}
