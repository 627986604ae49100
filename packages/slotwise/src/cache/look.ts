import type { Key } from '../keys.js'
import type { CommandCall } from '../redis/port.js'
import { Budget } from './budget.js'
import type { Instance } from './instance.js'
import { lookHere } from './local/look-here.js'
import {
  judge,
  type Look,
  plainBytes,
  plainCall,
  thrown,
  timedBytes,
  timedCalls,
  UNREACHABLE,
} from './look-reply.js'
import { TagCheck } from './tags.js'

/** Options of a look. */
export interface LookTerms {
  readonly allowStale?: boolean
  /** Tags that the reader expects, with those above them. */
  readonly named?: readonly string[]
  /** Nothing that this process holds counts. */
  readonly isStrict?: boolean
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
  { allowStale = false, named = [], isStrict = false }: LookTerms = {},
): Promise<Look> {
  const { local } = instance
  if (local !== undefined && !allowStale)
    return await lookHere(instance, local, key, budget, {
      check: () => new TagCheck(instance.tags, key, { named, deadlineMs: budget.leftMs, isStrict }),
      isStrict,
    })
  let check: TagCheck | undefined
  for (let timed = instance.timed || allowStale; ; timed = true) {
    if (!instance.reachable(key)) return UNREACHABLE
    const from = performance.now()
    try {
      const options = { deadlineMs: budget.begin(), binary: true }
      if (named.length > 0) {
        check ??= new TagCheck(instance.tags, key, { named, deadlineMs: options.deadlineMs })
      }
      const found = timed
        ? timedBytes(await instance.port.pipeline(timedCalls(key), options), 0, allowStale)
        : plainBytes(await instance.port.call(plainCall(key), options))
      const tookMs = performance.now() - from
      budget.end(tookMs)
      instance.answered(tookMs)
      const judged = judge(instance, found)
      const seen = judged instanceof Promise ? await judged : judged
      if (seen?.state === 'found' && seen.stamps.length > 0) {
        check ??= new TagCheck(instance.tags, key)
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
  { named = [], isStrict = false }: Omit<LookTerms, 'allowStale'> = {},
): Promise<readonly Look[]> {
  const { timed, local } = instance
  if (local !== undefined) {
    const { leftMs: deadlineMs } = budget
    let shared: TagCheck | undefined
    const looked = keys.map((key) => {
      const check = () => (shared ??= new TagCheck(instance.tags, key, { named, deadlineMs, isStrict }))
      return lookHere(instance, local, key, new Budget(deadlineMs), { check, isStrict })
    })
    return await Promise.all(looked)
  }
  const looks: Look[] = keys.map(() => UNREACHABLE)
  const [asked, places, calls]: [Key[], number[], CommandCall[]] = [[], [], []]
  for (const [place, key] of keys.entries()) {
    if (!instance.reachable(key)) continue
    asked.push(key)
    places.push(place)
    if (timed) calls.push(...timedCalls(key))
    else calls.push(plainCall(key))
  }
  const [first] = asked
  if (first === undefined) return looks
  const from = performance.now()
  const newCheck = () => new TagCheck(instance.tags, first, { named, deadlineMs: budget.leftMs })
  let check = named.length > 0 ? newCheck() : undefined
  const results = await budget
    .spend((deadlineMs) => instance.port.pipeline(calls, { deadlineMs, binary: true }))
    .catch((reason: unknown) => calls.map((): PromiseRejectedResult => ({ status: 'rejected', reason })))
  const tagged: { readonly place: number; readonly key: Key; readonly seen: Seen }[] = []
  let failed = false
  for (const [i, key] of asked.entries()) {
    const place = places[i] ?? 0
    try {
      const result = results[i]
      const found = timed
        ? timedBytes(results, 2 * i, false)
        : plainBytes(result?.status === 'fulfilled' ? result.value : thrown(result))
      const judged = judge(instance, found)
      const seen = judged instanceof Promise ? await judged : judged
      looks[place] = seen ?? { state: 'nothing' }
      if (seen?.state === 'found' && seen.stamps.length > 0) tagged.push({ place, key, seen })
    } catch (error) {
      failed = true
      instance.report(error, 'read', key)
    }
  }
  if (tagged.length > 0) {
    check ??= newCheck()
    try {
      const holds = await check.hold(
        tagged.map(({ seen }) => seen.stamps),
        budget,
      )
      for (const [i, { place, seen }] of tagged.entries()) {
        if (holds[i] !== true) looks[place] = { state: 'outdated', bytes: seen.bytes }
      }
    } catch (error) {
      failed = true
      for (const { place, key } of tagged) {
        looks[place] = UNREACHABLE
        instance.report(error, 'read', key)
      }
    }
  }
  if (failed) instance.unanswered()
  else instance.answered(performance.now() - from)
  return looks
}

type Seen = Extract<Look, { readonly state: 'found' }>
