import type { InvalidationPendingError } from '../errors.js'
import { type CallOf, type PendingInvalidations, pendingError } from '../invalidation/pending.js'
import { changeOf } from '../invalidation/tags/tag-store.js'
import { writeAll } from '../invalidation/write-all.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { Reply } from '../redis/port.js'
import { deadlineOf } from './call-options.js'
import type { Instance } from './instance.js'
import { invalidate } from './scripts.js'

/** Options of an invalidation. */
export interface InvalidateOptions extends CallOptions {
  /**
   * So many replicas of each primary are to know of it before it resolves, which a failover to one of them then cannot
   * lose. @defaultValue the cache's own `replicas`
   */
  readonly replicas?: number | undefined
  /**
   * Removes the entries, or changes the tags, once more, so many milliseconds later: in the background, and unless the cache
   * is closed before. Rarely of use, since no load that was under way can store. It is for what happens behind the cache's
   * back, say a writer elsewhere that stores what it read before; against replicas of the database that lag, `mutate` with
   * `replicaLagMs` is better, which lets nothing be stored in the meantime. @defaultValue none
   */
  readonly again?: { readonly afterMs: number } | undefined
  /**
   * Resolves only when no process can serve the older value any more, from what it holds itself either: after the largest
   * `maxStalenessMs` of all that hold entries of this cache, or as soon as all of them have answered. Not promised to reads
   * with `allowStale`, nor of what is pending and succeeds later. @defaultValue `false`
   */
  readonly everywhere?: boolean | undefined
}

/** A day: beyond that, the TTL is what ends an entry. */
const LATEST_MS = 86_400_000

/**
 * Removes the entries, or rejects and goes on trying with those that are left. Whether each was there; an answer that
 * was lost and asked for again says that it was not.
 */
export async function invalidateKeys(
  instance: Instance,
  keys: readonly Key[],
  options: InvalidateOptions = {},
): Promise<readonly boolean[]> {
  const { pending, settings } = instance
  const callOf = removalOf(settings.keepInvalidatedMs)
  const replies = await carryOut(instance, keys, options, { pending, callOf, what: ENTRIES })
  return replies.map((reply) => reply === 1)
}

/** Changes the tags, or rejects and goes on trying with those that are left. */
export async function changeTags(
  instance: Instance,
  keys: readonly Key[],
  options: InvalidateOptions = {},
): Promise<void> {
  const from = performance.now()
  const { pending } = instance.tags
  const done = carryOut(instance, keys, options, { pending, callOf: changeOf, what: TAGS })
  await done.finally(() => instance.audit?.sawTags(keys, from))
}

/** What is done to keys, and who goes on trying what Redis does not take. */
interface Invalidation {
  readonly callOf: CallOf
  readonly pending: PendingInvalidations
  readonly what: readonly [one: string, many: string]
}

const ENTRIES = ['remove an entry from the cache', 'remove # entries from the cache'] as const
const TAGS = ['change a tag', 'change # tags'] as const

async function carryOut(
  instance: Instance,
  keys: readonly Key[],
  options: InvalidateOptions,
  { callOf, pending, what }: Invalidation,
): Promise<readonly Reply[]> {
  const from = performance.now()
  const { signal, again, everywhere = false } = options
  const replicas = integer('replicas', options.replicas ?? instance.settings.replicas, { min: 0 })
  const afterMs = again && integer('again.afterMs', again.afterMs, { max: LATEST_MS })
  const terms = { deadlineMs: deadlineOf(options), signal, replicas }
  if (keys.length === 0) return []
  instance.forget(keys)
  const results = await instance.told(keys, await writeAll(instance.port, keys.map(callOf), terms), terms)
  instance.forget(keys)
  if (afterMs !== undefined) pending.again(keys, afterMs, replicas)
  const left: Promise<boolean>[] = []
  let cause: unknown
  const replies = keys.map((key, i) => {
    const result = results[i]
    if (result?.status === 'fulfilled') {
      instance.emit('invalidate', key, from)
      return result.value
    }
    cause ??= result?.reason
    left.push(pending.add(key, replicas))
    instance.report(result?.reason, 'invalidate', key)
    return null
  })
  if (left.length > 0) throw pendingError(left, what, { cause })
  if (everywhere) await instance.everywhere.forgotten(keys, performance.now(), signal)
  return replies
}

/** The error that tells a caller of the entries left. */
export function entriesPending(
  left: readonly Promise<boolean>[],
  options: { readonly cause: unknown; readonly written?: unknown },
): InvalidationPendingError {
  return pendingError(left, ENTRIES, options)
}

/** What removes an entry, and keeps its value for so long for those who allow invalidated ones. */
export function removalOf(keepMs: number): CallOf {
  return (key) =>
    keepMs > 0
      ? invalidate.call({ entry: key }, { keep_ms: keepMs })
      : { key, command: ['DEL', key], repeat: 'safe' }
}
