import { ConfigurationError, UncacheableValueError } from '../errors.js'
import { writeAll } from '../invalidation/write-all.js'
import type { Key } from '../keys.js'
import type { Reply, ScriptCall } from '../redis/port.js'
import { keptMsOf, type Stamp } from './entry.js'
import type { Instance } from './instance.js'
import { entriesPending } from './invalidate.js'
import { store } from './scripts.js'
import { lifetimes } from './settings.js'

declare const brand: unique symbol

/** What a read saw of an entry, to store only if nothing has happened since. Opaque; good for one entry. */
export type ReadToken = string & { readonly [brand]: 'ReadToken' }

/** A value to be stored. */
export interface Put {
  readonly key: Key
  readonly value: unknown
  readonly ttlMs: number | undefined
  readonly token: ReadToken | undefined
  /** What it bears, with what is above. */
  readonly tags?: readonly string[]
}

/** What was seen, as the script wants it. */
interface Expected {
  readonly mode: 'any' | 'version' | 'mark'
  readonly token: Buffer | string
}

export const tokenOf = {
  /** With what the entry was found to bear: a tag that changes leaves the entry as it is. */
  version: (version: Buffer, stamps: readonly Stamp[] = []): ReadToken => {
    const borne = stamps.length === 0 ? '' : `.${Buffer.from(JSON.stringify(stamps)).toString('base64url')}`
    return `v${version.toString('base64url')}${borne}` as ReadToken
  },
  mark: (mark: Buffer): ReadToken => `m${mark.toString('base64url')}` as ReadToken,
  /** Of a read that saw a write under way: nothing may be stored after it. */
  none: 'n' as ReadToken,
}

function expected(token: ReadToken | undefined): Expected {
  if (token === undefined) return { mode: 'any', token: '' }
  const rest = Buffer.from(token.slice(1).split('.')[0] ?? '', 'base64url')
  if (token.startsWith('v')) return { mode: 'version', token: rest }
  if (token.startsWith('m')) return { mode: 'mark', token: rest }
  // No mark is empty.
  if (token === tokenOf.none) return { mode: 'mark', token: '-' }
  throw new ConfigurationError('token must be one that a read of this entry gave')
}

/** What the entry was found to bear by the read that gave the token. */
function seenBy(token: ReadToken | undefined): readonly Stamp[] {
  const borne = token?.split('.')[1]
  if (borne === undefined) return []
  try {
    return JSON.parse(Buffer.from(borne, 'base64url').toString()) as readonly Stamp[]
  } catch (cause) {
    throw new ConfigurationError('token must be one that a read of this entry gave', { cause })
  }
}

/**
 * Stores values without loading them. Whether each was stored; one with a token that was not stored has changed since
 * the read. What should have been stored and could not be leaves no older value behind: it becomes an invalidation.
 */
export async function putAll(
  instance: Instance,
  puts: readonly Put[],
  deadlineMs: number | undefined,
): Promise<readonly boolean[]> {
  if (puts.length === 0) return []
  const from = performance.now()
  // What cannot be stored is found before anything is sent.
  const payloads = puts.map((put) => payloadOf(instance, put))
  const writes = await Promise.all(puts.map((put, i) => writeOf(instance, put, payloads[i], deadlineMs)))
  const sent = writes.filter((write) => write !== undefined)
  const keys = puts.map(({ key }) => key)
  instance.forget(keys)
  const answers = (await writeAll(instance.port, sent, { deadlineMs })).values()
  const done = writes.map((write) => (write === undefined ? NOT_STORED : (answers.next().value ?? LOST)))
  const results = await instance.told(keys, done, { deadlineMs })
  instance.forget(keys)
  const left: Promise<boolean>[] = []
  let cause: unknown
  const stored = puts.map(({ key, token }, i) => {
    const result = results[i]
    if (result?.status === 'fulfilled') {
      const isStored = store.decode(result.value)
      if (!isStored) instance.count('refusedFills')
      instance.emit(isStored ? 'write' : 'refused-fill', key, from)
      return isStored
    }
    instance.report(result?.reason, 'write', key)
    // With a token it is what a read has seen, and nothing newer: the entry may stay as it is.
    if (token !== undefined) return false
    cause ??= result?.reason
    left.push(instance.pending.add(key))
    return false
  })
  if (left.length > 0) throw entriesPending(left, { cause })
  return stored
}

const LOST: PromiseRejectedResult = { status: 'rejected', reason: new Error('an answer was lost') }
const NOT_STORED: PromiseFulfilledResult<Reply> = { status: 'fulfilled', value: 0 }

function payloadOf(instance: Instance, { value }: Put): Uint8Array {
  const { codec } = instance.settings
  const payload = codec.payload(value)
  if (codec.fits(payload)) return payload
  throw new UncacheableValueError(
    `the value is not cached: it takes ${payload.byteLength} bytes, more than maxValueBytes`,
  )
}

/**
 * What was read under tags bears them when it is stored again. `undefined` where one of its tags is being changed or, of
 * those, has changed, so that nothing can be stored under it.
 */
async function writeOf(
  instance: Instance,
  { key, value, ttlMs, token, tags = [] }: Put,
  payload: Uint8Array = Buffer.alloc(0),
  deadlineMs: number | undefined,
): Promise<ScriptCall | undefined> {
  const { settings } = instance
  const seen = seenBy(token)
  const paths = [...new Set([...tags, ...seen.map(({ path }) => path)])]
  const stamps = await instance.tags
    .stamps(key, paths, deadlineMs ?? settings.budget.max)
    .catch((error: unknown) => instance.report(error, 'write', key))
  const versions = new Map(stamps?.map(({ path, version }) => [path, version]))
  if (seen.some(({ path, version }) => versions.get(path) !== version)) return undefined
  const times = lifetimes(settings, value, { ttlMs, loadMs: 0 })
  const bytes = stamps && settings.codec.wrapped(payload, times, stamps)
  if (bytes === undefined) return undefined
  return store.call({ entry: key }, { bytes, ttl_ms: keptMsOf(bytes), ...expected(token) })
}
