import { InvalidationPendingError } from '../errors.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { deadlineOf } from './call-options.js'
import type { Instance } from './instance.js'
import { removeAll } from './pending.js'

/** Options of an invalidation. */
export interface InvalidateOptions extends CallOptions {
  /**
   * So many replicas of each primary are to know of it before it resolves, which a failover to one of them then cannot
   * lose. @defaultValue the cache's own `replicas`
   */
  readonly replicas?: number | undefined
}

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
  const removals = keys.map((key) => ({ key, replicas }))
  const results = await removeAll(instance.port, removals, { keepMs, deadlineMs, signal })
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
  if (left.length > 0) throw pendingError(left, { cause })
  return found
}

/** The error that tells a caller of the invalidations left. */
export function pendingError(
  left: readonly Promise<boolean>[],
  options: { readonly cause: unknown; readonly written?: unknown },
): InvalidationPendingError {
  const settled = Promise.all(left).then((all) => all.every(Boolean))
  const what = left.length === 1 ? 'an entry' : `${left.length} entries`
  return new InvalidationPendingError(
    `Redis could not be told to remove ${what} from the cache; it goes on being tried`,
    { ...options, settled },
  )
}
