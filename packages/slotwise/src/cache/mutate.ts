import { ReplyError, UncacheableValueError } from '../errors.js'
import type { PendingInvalidations } from '../invalidation/pending.js'
import type { TagStore } from '../invalidation/tags/tag-store.js'
import { writeAll } from '../invalidation/write-all.js'
import type { Key } from '../keys.js'
import { keptMsOf, type Stamp } from './entry.js'
import type { Instance } from './instance.js'
import { entriesPending, removalOf } from './invalidate.js'
import { intend, newToken, settle } from './scripts.js'
import { lifetimes } from './settings.js'

/** Changes the database: resolves once the change is committed. */
export type Mutation<R> = (context: MutationContext) => R | Promise<R>

/** What a change of the database is told. */
export interface MutationContext {
  /**
   * Aborted shortly before the intent ends. A change that is committed later than that is covered by nothing but the
   * invalidation at its end: roll back.
   */
  readonly signal: AbortSignal
}

/** How one change is announced and settled. */
export interface MutationTerms {
  /** How long the change may take and be covered. */
  readonly intentMs: number
  /** For how long nothing may be stored after it. */
  readonly lingerMs: number
  readonly deadlineMs: number | undefined
  readonly ttlMs?: number | undefined
  /** Resolves only when no process can serve the older value any more. */
  readonly everywhere?: boolean | undefined
  /** What the stored value bears, with what is above. */
  readonly bears?: readonly string[]
  /** Tags of the same tenant that change with it. */
  readonly tags?: { readonly store: TagStore; readonly paths: readonly string[] } | undefined
}

/** The last part of an intent, in which a change that obeys its signal has time to roll back. */
const ROLLBACK_SHARE = 0.1

/** Intents, database, then the entries: emptied, but for the first, which takes what `valueOf` makes of the result. */
export async function mutateKeys<R>(
  instance: Instance,
  keys: readonly Key[],
  terms: MutationTerms,
  mutation: Mutation<R>,
  valueOf?: (result: R) => unknown,
): Promise<R> {
  const from = performance.now()
  const token = newToken()
  const everything = [...keys, ...tagKeysOf(terms)]
  instance.forget(everything)
  const [covered, stamps] = await Promise.all([
    announce(instance, keys, token, terms),
    // Before the change, so that a tag which changes meanwhile takes the value away again.
    stampsFor(instance, keys, terms),
  ])
  const over = new AbortController()
  const timer = setTimeout(
    () => over.abort(new DOMException('the intent that covers this change is about to end', 'TimeoutError')),
    terms.intentMs * (1 - ROLLBACK_SHARE) - (performance.now() - from),
  )
  timer.unref()
  let result: R
  try {
    result = await mutation({ signal: over.signal })
  } catch (error) {
    clearTimeout(timer)
    // It may have been committed all the same: a connection can break between the commit and its answer.
    const { failed } = await end(instance, keys, token, undefined, terms)
    instance.forget(everything)
    for (const { key, cause, pending } of failed) {
      instance.report(cause, 'write', key)
      void pending.add(key, instance.settings.replicas)
    }
    throw error
  }
  clearTimeout(timer)
  const entry =
    covered && stamps !== undefined && valueOf !== undefined
      ? entryOf(instance, keys, valueOf(result), terms, stamps)
      : undefined
  const { failed, stored } = await end(instance, keys, token, entry, terms)
  instance.forget(everything)
  if (entry !== undefined && !stored) instance.count('refusedFills')
  for (const { key, cause } of failed) instance.report(cause, 'write', key)
  if (failed.length > 0) {
    const left = failed.map(({ key, pending }) => pending.add(key, instance.settings.replicas))
    throw entriesPending(left, { cause: failed[0]?.cause, written: result })
  }
  if (terms.everywhere === true) await instance.everywhere.forgotten(everything, performance.now(), undefined)
  for (const key of keys) instance.emit('write', key, from)
  instance.audit?.sawTags(tagKeysOf(terms), from)
  return result
}

function tagKeysOf({ tags }: Pick<MutationTerms, 'tags'>): readonly Key[] {
  return tags?.paths.map((path) => tags.store.keyOf(path)) ?? []
}

/** What the value that is stored in the end will bear; `undefined` where that is not known, and nothing is stored. */
async function stampsFor(
  instance: Instance,
  [key]: readonly Key[],
  { bears = [] }: MutationTerms,
): Promise<readonly Stamp[] | undefined> {
  if (key === undefined || bears.length === 0) return []
  try {
    return await instance.tags.stamps(key, bears, instance.settings.budget.max)
  } catch (error) {
    instance.report(error, 'write', key)
    return undefined
  }
}

/** Whether Redis knows of all of it. If not, the change goes on all the same: a cache must not stop it. */
async function announce(
  instance: Instance,
  keys: readonly Key[],
  token: string,
  { intentMs, tags }: MutationTerms,
): Promise<boolean> {
  const { keepInvalidatedMs } = instance.settings
  const args = { token, intent_ms: intentMs, keep_ms: keepInvalidatedMs }
  const calls = keys.map((key) => intend.call({ entry: key }, args))
  const { max: deadlineMs } = instance.settings.budget
  const [results, ofTags = []] = await Promise.all([
    writeAll(instance.port, calls, { deadlineMs }),
    tags?.store.intend(tags.paths, token, intentMs, { deadlineMs }),
  ])
  const all = [...keys, ...tagKeysOf({ tags })]
  // From here on, not only from the end: should this process die in between, nobody will tell of that.
  const told = await instance.told(all, [...results, ...ofTags], { deadlineMs, replicas: 0 })
  let covered = true
  for (const [i, result] of told.entries()) {
    const key = all[i]
    if (result.status === 'fulfilled' || key === undefined) continue
    covered = false
    instance.report(result.reason, 'write', key)
  }
  return covered
}

interface Ended {
  readonly stored: boolean
  readonly failed: readonly {
    readonly key: Key
    readonly cause: unknown
    readonly pending: PendingInvalidations
  }[]
}

/** Stores the value, or empties the entries if there is none or another write has interfered. Never rejects. */
async function end(
  instance: Instance,
  keys: readonly Key[],
  token: string,
  entry: Buffer | undefined,
  { deadlineMs, lingerMs, tags }: MutationTerms,
): Promise<Ended> {
  const { keepInvalidatedMs: keepMs, replicas } = instance.settings
  const args = { token, store: 0, bytes: '', ttl_ms: 1, linger_ms: lingerMs, keep_ms: keepMs }
  const filling = entry === undefined ? {} : { store: 1, bytes: entry, ttl_ms: keptMsOf(entry) }
  const calls = keys.map((key, i) => settle.call({ entry: key }, i === 0 ? { ...args, ...filling } : args))
  const [settled, settledTags = []] = await Promise.all([
    writeAll(instance.port, calls, { deadlineMs, replicas }),
    tags?.store.settle(tags.paths, token, lingerMs, { deadlineMs, replicas }),
  ])
  const [results, ofTags] = await Promise.all([
    instance.told(keys, settled, { deadlineMs }),
    instance.told(tagKeysOf({ tags }), settledTags, { deadlineMs }),
  ])
  // What a server refuses to a script that stores, out of memory or over foreign data, it grants to DEL.
  const refused = keys.filter((_, i) => reasonOf(results[i]) instanceof ReplyError)
  const emptied = await writeAll(instance.port, refused.map(removalOf(0)), { deadlineMs, replicas })
  const removed = await instance.told(refused, emptied, { deadlineMs })
  const gone = new Set(refused.filter((_, i) => removed[i]?.status === 'fulfilled'))
  const failed: Ended['failed'][number][] = []
  let stored = false
  keys.forEach((key, i) => {
    const result = results[i]
    if (result?.status === 'fulfilled') stored ||= settle.decode(result.value)
    else if (gone.has(key)) instance.report(result?.reason, 'write', key)
    else failed.push({ key, cause: result?.reason, pending: instance.pending })
  })
  ofTags.forEach((result, i) => {
    const path = tags?.paths[i]
    if (result.status === 'fulfilled' || tags === undefined || path === undefined) return
    failed.push({ key: tags.store.keyOf(path), cause: result.reason, pending: instance.tags.pending })
  })
  return { stored, failed }
}

function reasonOf(result: PromiseSettledResult<unknown> | undefined): unknown {
  return result?.status === 'rejected' ? result.reason : undefined
}

/** The write is done and is not taken back for a value that cannot be cached: the entry stays empty instead. */
function entryOf(
  instance: Instance,
  [key]: readonly Key[],
  value: unknown,
  { ttlMs }: MutationTerms,
  stamps: readonly Stamp[],
): Buffer | undefined {
  const { codec } = instance.settings
  try {
    const payload = codec.payload(value)
    const entry = codec.wrapped(payload, lifetimes(instance.settings, value, { ttlMs, loadMs: 0 }), stamps)
    if (entry !== undefined) return entry
    throw new UncacheableValueError(
      `the value is not cached: it takes ${payload.byteLength} bytes, more than maxValueBytes`,
    )
  } catch (error) {
    if (!(error instanceof UncacheableValueError)) throw error
    if (key !== undefined) instance.report(error, 'write', key)
    return undefined
  }
}
