import { ReplyError, UncacheableValueError } from '../errors.js'
import type { Key } from '../keys.js'
import { encode } from './entry.js'
import type { Instance } from './instance.js'
import { pendingError } from './invalidate.js'
import { removeAll } from './pending.js'
import { intend, newToken, settle } from './scripts.js'

/** Writes to the database: resolves once the change is committed, with the new value. */
export type Write<T> = () => T | Promise<T>

/** How one write is to be stored. */
interface Terms {
  readonly ttlMs: number
  readonly deadlineMs: number | undefined
}

/** Intent, database, entry. */
export async function writeThrough<T>(
  instance: Instance,
  key: Key,
  terms: Terms,
  write: Write<T>,
): Promise<T> {
  const from = performance.now()
  const token = newToken()
  const covered = await announce(instance, key, token)
  let value: T
  try {
    value = await write()
  } catch (error) {
    // It may have been committed all the same: a connection can break between the commit and its answer.
    await end(instance, key, token, undefined, terms).catch((cause: unknown) => {
      instance.report(cause, 'write', key)
      void instance.pending.add(key)
    })
    throw error
  }
  try {
    const stored = await end(instance, key, token, covered ? bytesOf(instance, key, value) : undefined, terms)
    if (covered && !stored) instance.count('refusedFills')
  } catch (cause) {
    instance.report(cause, 'write', key)
    throw pendingError([instance.pending.add(key)], { cause, written: value })
  }
  instance.emit('write', key, from)
  return value
}

/** Whether Redis knows of the write. If not, the write goes on all the same: a cache must not stop it. */
async function announce(instance: Instance, key: Key, token: string): Promise<boolean> {
  const { leaseMs, budgetMs } = instance.settings
  try {
    await intend.run(instance.port, { entry: key }, { token, intent_ms: leaseMs }, { deadlineMs: budgetMs })
    return true
  } catch (error) {
    instance.report(error, 'write', key)
    return false
  }
}

/** Stores the value, or empties the entry if there is none or another write has interfered. */
async function end(
  instance: Instance,
  key: Key,
  token: string,
  bytes: Buffer | undefined,
  { ttlMs, deadlineMs }: Terms,
): Promise<boolean> {
  const args = {
    token,
    store: bytes === undefined ? 0 : 1,
    bytes: bytes ?? '',
    ttl_ms: instance.ttl(ttlMs),
  }
  try {
    return await settle.run(instance.port, { entry: key }, args, { deadlineMs })
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    // What a server refuses to a script that stores, out of memory or over foreign data, it grants to DEL.
    const [removed] = await removeAll(instance.port, [key], { deadlineMs })
    if (removed?.status === 'fulfilled') {
      instance.report(error, 'write', key)
      return false
    }
    throw error
  }
}

/** The write is done and is not taken back for a value that cannot be cached: the entry stays empty instead. */
function bytesOf(instance: Instance, key: Key, value: unknown): Buffer | undefined {
  try {
    return encode(value)
  } catch (error) {
    if (!(error instanceof UncacheableValueError)) throw error
    instance.report(error, 'write', key)
    return undefined
  }
}
