import type { Key } from '../keys.js'
import type { CommandCall, Reply } from '../redis/port.js'
import type { Budget } from './budget.js'
import type { Decoded, Stamp } from './entry.js'
import type { Instance } from './instance.js'
import { TagCheck } from './tags.js'

/** What lies in Redis: a value, nothing, bytes that cannot be read; or no answer. */
export type Look =
  | {
      readonly state: 'found'
      readonly value: unknown
      /** Since it was stored; `undefined` where nothing depends on it, so that nobody has asked. */
      readonly ageMs: number | undefined
      /** For how long it was stored. */
      readonly keptMs: number
      readonly stale: boolean
      /** To be refreshed before it becomes stale. */
      readonly early: boolean
      readonly bytes: Buffer
      readonly stamps: readonly Stamp[]
    }
  | { readonly state: 'nothing' | 'unreachable' }
  /** Bytes that are no entry for this cache, or one that bears a tag which has changed since. */
  | { readonly state: 'unreadable' | 'outdated'; readonly bytes: Buffer }

/** Found bytes, and for how long they are kept; `undefined` where nobody has asked. */
interface Bytes {
  readonly bytes: Buffer
  readonly leftMs: number | undefined
  readonly invalidated?: boolean
}

/**
 * One round trip within the budget, for whoever takes invalidated values too if `allowStale`. Never rejects.
 *
 * All of a hit is in this one function: each further promise on its way is felt in how many hits a process can have.
 */
export async function look(
  instance: Instance,
  key: Key,
  budget: Budget,
  allowStale = false,
  named: readonly string[] = [],
): Promise<Look> {
  let check: TagCheck | undefined
  for (let timed = instance.timed || allowStale; ; timed = true) {
    if (!instance.reachable(key)) return UNREACHABLE
    const from = performance.now()
    try {
      const options = { deadlineMs: budget.begin(), binary: true }
      if (named.length > 0) check ??= new TagCheck(instance.tags, key, named, options.deadlineMs)
      const found = timed
        ? timedBytes(await instance.port.pipeline(timedCalls(key), options), 0, allowStale)
        : plainBytes(await instance.port.call(plainCall(key), options))
      const tookMs = performance.now() - from
      budget.end(tookMs)
      instance.answered(tookMs)
      const judged = judge(instance, found)
      const seen = judged instanceof Promise ? await judged : judged
      if (seen?.state === 'found' && seen.stamps.length > 0) {
        check ??= new TagCheck(instance.tags, key, [], 0)
        return await checked(instance, key, seen, check, budget, allowStale)
      }
      if (seen !== undefined) return seen
      // Stored by a process that knows of stale values, where this one does not: it takes the age to tell.
    } catch (error) {
      budget.end(performance.now() - from)
      instance.unanswered()
      instance.report(error, 'read', key)
      return UNREACHABLE
    }
  }
}

/** An entry is only found if its tags have not changed since. Never rejects. */
async function checked(
  instance: Instance,
  key: Key,
  seen: Seen,
  check: TagCheck,
  budget: Budget,
  allowStale: boolean,
): Promise<Look> {
  try {
    const [holds] = await check.hold([seen.stamps], budget)
    if (holds === true) return seen
    return allowStale ? { ...seen, stale: true } : { state: 'outdated', bytes: seen.bytes }
  } catch (error) {
    instance.unanswered()
    instance.report(error, 'read', key)
    return UNREACHABLE
  }
}

/** Many at once: one round trip a node. Never rejects; a failure stays with its key. */
export async function lookMany(
  instance: Instance,
  keys: readonly Key[],
  budget: Budget,
  named: readonly string[] = [],
): Promise<readonly Look[]> {
  const { timed } = instance
  const asked = keys.filter((key) => instance.reachable(key))
  const from = performance.now()
  const [first] = asked
  const check = first && new TagCheck(instance.tags, first, named, budget.leftMs)
  const calls = timed ? asked.flatMap(timedCalls) : asked.map(plainCall)
  const results = await budget
    .spend((deadlineMs) => instance.port.pipeline(calls, { deadlineMs, binary: true }))
    .catch((reason: unknown) => calls.map((): PromiseRejectedResult => ({ status: 'rejected', reason })))
  const looks = new Map<Key, Look>()
  let failed = false
  for (const [i, key] of asked.entries()) {
    try {
      const result = results[i]
      const found = timed
        ? timedBytes(results, 2 * i, false)
        : plainBytes(result?.status === 'fulfilled' ? result.value : thrown(result))
      const judged = judge(instance, found)
      const seen = judged instanceof Promise ? await judged : judged
      looks.set(key, seen ?? { state: 'nothing' })
    } catch (error) {
      failed = true
      instance.report(error, 'read', key)
    }
  }
  const tagged = [...looks].filter((one): one is [Key, Seen] => isTagged(one[1]))
  if (tagged.length > 0 && check !== undefined) {
    try {
      const holds = await check.hold(
        tagged.map(([, { stamps }]) => stamps),
        budget,
      )
      for (const [i, [key, { bytes }]] of tagged.entries()) {
        if (holds[i] !== true) looks.set(key, { state: 'outdated', bytes })
      }
    } catch (error) {
      failed = true
      for (const [key] of tagged) {
        looks.set(key, UNREACHABLE)
        instance.report(error, 'read', key)
      }
    }
  }
  if (failed) instance.unanswered()
  else if (asked.length > 0) instance.answered(performance.now() - from)
  return keys.map((key) => looks.get(key) ?? UNREACHABLE)
}

const UNREACHABLE: Look = { state: 'unreachable' }

type Seen = Extract<Look, { readonly state: 'found' }>

const isTagged = (seen: Look): boolean => seen.state === 'found' && seen.stamps.length > 0

function plainCall(key: Key): CommandCall {
  return { key, command: ['HGET', key, 'v'], repeat: 'safe' }
}

function timedCalls(key: Key): readonly [CommandCall, CommandCall] {
  return [
    { key, command: ['HMGET', key, 'v', 'x', 'o'], repeat: 'safe' },
    { key, command: ['PTTL', key], repeat: 'safe' },
  ]
}

function plainBytes(reply: Reply): Bytes | undefined {
  return Buffer.isBuffer(reply) ? { bytes: reply, leftMs: undefined } : undefined
}

function timedBytes(
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

function thrown(result: PromiseSettledResult<unknown> | undefined): never {
  throw result?.status === 'rejected' ? result.reason : new Error('a pipeline lost a result')
}

/** `undefined` where the age has to be asked for. A promise only where the schema makes one. */
function judge(instance: Instance, found: Bytes | undefined): Look | undefined | Promise<Look | undefined> {
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
    value,
    ageMs,
    keptMs,
    stale,
    early,
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
