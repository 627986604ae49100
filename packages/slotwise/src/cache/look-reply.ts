import type { Key } from '../keys.js'
import type { CommandCall, Reply } from '../redis/port.js'
import type { Decoded, Stamp } from './entry.js'
import type { Instance } from './instance.js'

/** What lies in Redis: a value, nothing, bytes that cannot be read; or no answer. */
export type Look =
  | {
      readonly state: 'found'
      readonly source: 'local' | 'redis'
      readonly value: unknown
      /** Since it was stored; `undefined` where nothing depends on it, so that nobody has asked. */
      readonly ageMs: number | undefined
      /** For how long it was stored. */
      readonly keptMs: number
      readonly stale: boolean
      /** To be refreshed before it becomes stale. */
      readonly early: boolean
      /** How much longer it is fresh; where its age is known. */
      readonly freshForMs?: number | undefined
      readonly bytes: Buffer
      readonly stamps: readonly Stamp[]
    }
  | { readonly state: 'nothing' | 'unreachable' }
  /** Bytes that are no entry for this cache, or one that bears a tag which has changed since. */
  | { readonly state: 'unreadable' | 'outdated'; readonly bytes: Buffer }

/** Found bytes, and for how long they are kept; `undefined` where nobody has asked. */
export interface Bytes {
  readonly bytes: Buffer
  readonly leftMs: number | undefined
  readonly invalidated?: boolean
}

export const UNREACHABLE: Look = { state: 'unreachable' }

export function plainCall(key: Key): CommandCall {
  return { key, command: ['HGET', key, 'v'], repeat: 'safe' }
}

export function timedCalls(key: Key): readonly [CommandCall, CommandCall] {
  return [
    { key, command: ['HMGET', key, 'v', 'x', 'o'], repeat: 'safe' },
    { key, command: ['PTTL', key], repeat: 'safe' },
  ]
}

export function plainBytes(reply: Reply): Bytes | undefined {
  return Buffer.isBuffer(reply) ? { bytes: reply, leftMs: undefined } : undefined
}

export function timedBytes(
  results: readonly PromiseSettledResult<Reply>[],
  at: number,
  allowStale: boolean,
): Bytes | undefined {
  const [fields, lives] = [results[at], results[at + 1]]
  if (fields?.status !== 'fulfilled') return thrown(fields)
  if (lives?.status !== 'fulfilled') return thrown(lives)
  const [v, x, o] = Array.isArray(fields.value) ? (fields.value as readonly Reply[]) : []
  const leftMs = Number(lives.value) - (Buffer.isBuffer(x) ? Number(x.toString()) : 0)
  // From its end on the value is only there for the sake of the load that is to take its place.
  if (Buffer.isBuffer(v) && leftMs > 0) return { bytes: v, leftMs }
  return allowStale && Buffer.isBuffer(o) ? { bytes: o, leftMs: undefined, invalidated: true } : undefined
}

export function thrown(result: PromiseSettledResult<unknown> | undefined): never {
  throw result?.status === 'rejected' ? result.reason : new Error('a pipeline lost a result')
}

/** `undefined` where the age has to be asked for. A promise only where the schema makes one. */
export function judge(
  instance: Instance,
  found: Bytes | undefined,
): Look | undefined | Promise<Look | undefined> {
  if (found === undefined) return { state: 'nothing' }
  const decoded = instance.settings.codec.read(found.bytes)
  return decoded instanceof Promise
    ? decoded.then((late) => judgeDecoded(instance, found, late))
    : judgeDecoded(instance, found, decoded)
}

function judgeDecoded(
  instance: Instance,
  { bytes, leftMs, invalidated = false }: Bytes,
  decoded: Decoded | undefined,
): Look | undefined {
  if (decoded === undefined) return { state: 'unreadable', bytes }
  const { value, header, stamps } = decoded
  const { keptMs } = header
  const found = (ageMs: number | undefined, stale: boolean, early: boolean): Look => ({
    state: 'found',
    source: 'redis',
    value,
    ageMs,
    keptMs,
    stale,
    early,
    freshForMs: ageMs === undefined ? undefined : header.freshMs - ageMs,
    bytes,
    stamps,
  })
  if (invalidated) return found(undefined, true, false)
  if (leftMs === undefined) return header.freshMs < keptMs ? undefined : found(undefined, false, false)
  const ageMs = Math.max(0, keptMs - leftMs)
  const stale = ageMs >= header.freshMs
  return found(ageMs, stale, !stale && isEarly(instance, ageMs, header))
}

/**
 * By chance, the likelier the nearer the end, the longer a load takes: so that of many readers one or two refresh it
 * just in time. The lease then leaves one of them.
 *
 * @see {@link https://doi.org/10.14778/2757807.2757813 | Optimal probabilistic cache stampede prevention}
 */
function isEarly(
  { settings: { earlyRefresh } }: Instance,
  ageMs: number,
  { freshMs, loadMs }: { readonly freshMs: number; readonly loadMs: number },
): boolean {
  return earlyRefresh > 0 && ageMs - loadMs * earlyRefresh * Math.log(Math.random()) >= freshMs
}
