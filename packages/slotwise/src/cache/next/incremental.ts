import { nameOf, type Opening } from './opening.js'
import type { Fields } from './record.js'
import type { Name } from './store.js'
import type { Stamped } from './tags.js'

/** What Next tells a handler when it makes one, which it does for every request. */
export interface IncrementalContext {
  readonly serverDistDir?: string | undefined
  readonly [more: string]: unknown
}

/** How long a page is good for, in **seconds**. */
interface CacheControl {
  readonly revalidate?: number | false | undefined
  readonly expire?: number | undefined
}

/** With what Next asks for an entry. */
export interface IncrementalGet {
  readonly kind?: string | undefined
  readonly tags?: readonly string[] | undefined
  readonly softTags?: readonly string[] | undefined
  readonly [more: string]: unknown
}

/** With what Next stores one. */
export interface IncrementalSet {
  readonly fetchCache?: boolean | undefined
  readonly tags?: readonly string[] | undefined
  readonly cacheControl?: CacheControl | undefined
  readonly [more: string]: unknown
}

/** What Next gets. The type of `value` is Next's own. */
export interface IncrementalEntry {
  readonly lastModified: number
  readonly value: unknown
  readonly cacheControl?: CacheControl
}

/** What Next asks of its `cacheHandler`, for pages, route handlers and `fetch`. None but `revalidateTag` ever rejects. */
export interface IncrementalHandler {
  get(key: string, context?: IncrementalGet): Promise<IncrementalEntry | null>
  set(key: string, data: unknown, context?: IncrementalSet): Promise<void>
  /** @throws InvalidationPendingError Redis does not answer; it goes on being tried */
  revalidateTag(
    tags: string | readonly string[],
    durations?: { readonly expire?: number | undefined },
  ): Promise<void>
  /** Does nothing: nothing is kept here from one call to the next. */
  resetRequestCache(): void
}

/** Where Next names the tags of a page. */
const TAGS = 'x-next-cache-tags'
/** So long ago that it is older than any `revalidate` of a `fetch`. */
const LONG_AGO = -1e15
/** Next reads -1 as: to be made anew, whatever else is known. */
const ANEW = -1

/** The class that Next makes its handlers of, on what will be open when it is first needed. */
export function incrementalHandler(
  opening: Opening,
): new (
  context?: IncrementalContext,
) => IncrementalHandler {
  /** What was served, by the value that Next has: when a render fails, it stores the former value again. */
  const served = new WeakMap<object, Stamped>()

  return class SlotwiseCacheHandler implements IncrementalHandler {
    /** One is made for each request, so whatever it stores was begun after this. */
    readonly #madeAt = performance.now()
    /** What was asked for and not stored since, and when. */
    readonly #asked = new Map<string, number>()

    constructor(context: IncrementalContext = {}) {
      opening.servedFrom(context.serverDistDir)
    }

    async get(key: string, context: IncrementalGet = {}): Promise<IncrementalEntry | null> {
      if (!this.#asked.has(key)) this.#asked.set(key, performance.now())
      const store = await opening.store()
      const name = await nameOf(opening, key, kindOf(context.kind))
      const minded = [...(context.tags ?? []), ...(context.softTags ?? [])]
      const found = name && (await store?.get(name, minded))
      if (found === undefined) return null
      const { entry, ageMs, isStale } = found
      const cacheControl = entry.about as CacheControl | undefined
      const { stamps, begunAt, madeAt } = entry
      if (entry.fields !== null) served.set(entry.fields, { stamps, begunAt, madeAt })
      return {
        value: entry.fields,
        lastModified: isStale ? staleSince(name?.kind, cacheControl, ageMs) : Date.now() - ageMs,
        ...(cacheControl === undefined ? {} : { cacheControl }),
      }
    }

    async set(key: string, data: unknown, context: IncrementalSet = {}): Promise<void> {
      const from = this.#asked.get(key) ?? this.#madeAt
      this.#asked.delete(key)
      const fields = (data ?? null) as Fields | null
      const store = await opening.store()
      const kind = context.fetchCache === true ? 'fetch' : kindOf(fields?.['kind'])
      const name = await nameOf(opening, key, kind)
      if (store === undefined || name === undefined) return
      const { cacheControl } = context
      await store.put(name, {
        about: cacheControl,
        fields,
        tags: tagsOf(fields, context),
        from,
        ttlMs: cacheControl?.expire === undefined ? Infinity : Math.max(1, cacheControl.expire * 1000),
        again: fields === null ? undefined : served.get(fields),
      })
    }

    async revalidateTag(
      tags: string | readonly string[],
      durations?: { readonly expire?: number | undefined },
    ): Promise<void> {
      const staleMs = durations === undefined ? undefined : (durations.expire ?? Infinity) * 1000
      await opening.change(typeof tags === 'string' ? [tags] : tags, staleMs)
    }

    resetRequestCache(): void {}
  }
}

function kindOf(kind: unknown): Name['kind'] {
  if (kind === 'FETCH') return 'fetch'
  return kind === 'IMAGE' ? 'image' : 'page'
}

/** When something was made that must be made anew: in Next's words an age beyond its `revalidate`. */
function staleSince(
  kind: Name['kind'] | undefined,
  control: CacheControl | undefined,
  ageMs: number,
): number {
  if (kind === 'fetch') return LONG_AGO
  const { revalidate } = control ?? {}
  // Without a `revalidate`, Next has no age at which it would serve a page and make the next behind its back.
  return typeof revalidate === 'number' ? Date.now() - Math.max(ageMs, revalidate * 1000 + 1000) : ANEW
}

function tagsOf(fields: Fields | null, context: IncrementalSet): readonly string[] {
  const headers = fields?.['headers'] as Readonly<Record<string, unknown>> | undefined
  const named = headers?.[TAGS]
  const own = fields?.['tags'] as readonly string[] | undefined
  const all = [
    ...(context.tags ?? []),
    ...(own ?? []),
    ...(typeof named === 'string' ? named.split(',') : []),
  ]
  return [...new Set(all.filter((tag) => tag !== ''))]
}
