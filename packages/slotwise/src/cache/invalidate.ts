import type { InvalidationPendingError } from '../errors.js'
import { type CallOf, pendingError, removeAll } from '../invalidation/pending.js'
import { changeOf } from '../invalidation/tags/tag-store.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
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
   * with `allowStale`. @defaultValue `false`
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
  const deadlineMs = deadlineOf(options)
  if (keys.length === 0) return []
  const from = performance.now()
  const { replicas: ownReplicas, keepInvalidatedMs: keepMs } = instance.settings
  const replicas =
    options.replicas === undefined ? ownReplicas : integer('replicas', options.replicas, { min: 0 })
  const { signal } = options
  const afterMs = againAfter(options)
  const removals = keys.map((key) => ({ key, replicas }))
  instance.forget(keys)
  const call = { deadlineMs, signal }
  const removed = await removeAll(instance.port, removals, { callOf: removalOf(keepMs), ...call })
  const results = await instance.told(keys, removed, { ...call, replicas })
  instance.forget(keys)
  if (afterMs !== undefined) instance.pending.again(keys, afterMs, replicas)
  const left: Promise<boolean>[] = []
  let cause: unknown
  const found = keys.map((key, i) => {
    const result = results[i]
    if (result?.status === 'fulfilled') {
      instance.emit('invalidate', key, from)
      return result.value === 1
    }
    cause ??= result?.reason
    left.push(instance.pending.add(key, replicas))
    instance.report(result?.reason, 'invalidate', key)
    return false
  })
  if (left.length > 0) throw entriesPending(left, { cause })
  if (options.everywhere === true) await instance.everywhere.forgotten(keys, performance.now(), signal)
  return found
}

/** When it is to be repeated, checked before anything is sent. */
function againAfter({ again }: InvalidateOptions): number | undefined {
  return again === undefined ? undefined : integer('again.afterMs', again.afterMs, { max: LATEST_MS })
}

/** Changes the tags, or rejects and goes on trying with those that are left. */
export async function changeTags(
  instance: Instance,
  keys: readonly Key[],
  options: InvalidateOptions = {},
): Promise<void> {
  const from = performance.now()
  const { deadlineMs, signal } = options
  const replicas = integer('replicas', options.replicas ?? instance.settings.replicas, { min: 0 })
  const afterMs = againAfter(options)
  const removals = keys.map((key) => ({ key, replicas }))
  instance.forget(keys)
  const call = { deadlineMs, signal }
  const changed = await removeAll(instance.port, removals, { callOf: changeOf, ...call })
  const results = await instance.told(keys, changed, { ...call, replicas })
  instance.forget(keys)
  if (afterMs !== undefined) instance.tags.pending.again(keys, afterMs, replicas)
  instance.audit?.sawTags(keys, from)
  const left: Promise<boolean>[] = []
  let cause: unknown
  for (const [i, key] of keys.entries()) {
    const result = results[i]
    if (result?.status === 'fulfilled') {
      instance.emit('invalidate', key, from)
      continue
    }
    cause ??= result?.reason
    left.push(instance.tags.pending.add(key, replicas))
    instance.report(result?.reason, 'invalidate', key)
  }
  if (left.length > 0) throw pendingError(left, ['change a tag', 'change # tags'], { cause })
  if (options.everywhere === true) await instance.everywhere.forgotten(keys, performance.now(), signal)
}

/** The error that tells a caller of the entries left. */
export function entriesPending(
  left: readonly Promise<boolean>[],
  options: { readonly cause: unknown; readonly written?: unknown },
): InvalidationPendingError {
  return pendingError(left, ['remove an entry from the cache', 'remove # entries from the cache'], options)
}

/** What removes an entry, and keeps its value for so long for those who allow invalidated ones. */
export function removalOf(keepMs: number): CallOf {
  return (key) =>
    keepMs > 0
      ? invalidate.call({ entry: key }, { keep_ms: keepMs })
      : { key, command: ['DEL', key], repeat: 'safe' }
}
