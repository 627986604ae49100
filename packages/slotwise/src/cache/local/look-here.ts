import type { Bond } from '../../invalidation/tracking/watch.js'
import type { Key } from '../../keys.js'
import type { Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import type { Budget } from '../budget.js'
import type { Instance } from '../instance.js'
import { type Bytes, judge, type Look, timedBytes, timedCalls, UNREACHABLE } from '../look-reply.js'
import { TagCheck } from '../tags.js'
import type { Held, LocalLevel } from './level.js'
import reproveSource from './reprove.lua.js'

/** What a look wants besides the entry. */
interface Terms {
  readonly named: readonly string[]
  /** Nothing that this process holds counts. */
  readonly isStrict: boolean
}

const reprove = defineScript(reproveSource, { repeat: 'safe', decode: (reply: Reply) => reply })

/** An entry that this process holds, as a look would find it. */
export function lookOf(local: LocalLevel, held: Held): Extract<Look, { readonly state: 'found' }> {
  const { keptMs, bytes, stamps, bond } = held
  const ageMs = held.ageMs + (performance.now() - bond.at)
  const value = local.valueOf(held)
  return { state: 'found', source: 'local', value, ageMs, keptMs, stale: false, early: false, bytes, stamps }
}

/**
 * What this process holds, if it is proved; else what Redis has, which is held from then on. An entry that is held and not
 * proved is only compared, and not sent again. One round trip, and one more for tags of which nothing is known.
 * Never rejects.
 */
export async function lookHere(
  instance: Instance,
  local: LocalLevel,
  key: Key,
  budget: Budget,
  { named, isStrict }: Terms,
): Promise<Look> {
  if (!instance.reachable(key)) return UNREACHABLE
  const here = isStrict ? undefined : local.find(key)
  if (here !== undefined) {
    const seen = lookOf(local, here)
    return seen.value instanceof Promise ? { ...seen, value: await seen.value } : seen
  }
  const from = performance.now()
  try {
    const check = new TagCheck(instance.tags, key, { named, deadlineMs: budget.leftMs, isStrict })
    const { seen, bond } = await seenOf(instance, local, key, budget)
    instance.answered(performance.now() - from)
    if (seen === undefined) return { state: 'nothing' }
    if (seen.state !== 'found') return seen
    if (seen.stamps.length > 0) {
      const [holds] = await check.hold([seen.stamps], budget)
      if (holds !== true) {
        local.forget(key)
        return { state: 'outdated', bytes: seen.bytes }
      }
    }
    const freshForMs = seen.freshForMs ?? 0
    if (bond !== undefined && !seen.stale && seen.ageMs !== undefined && freshForMs > 0) {
      const { value, bytes, stamps, keptMs, ageMs } = seen
      local.keep(key, { value, bytes, stamps, tags: check.tagsOf(stamps), keptMs, ageMs, freshForMs, bond })
    }
    return { ...seen, value: local.handOut(seen.value) }
  } catch (error) {
    instance.unanswered()
    instance.report(error, 'read', key)
    return UNREACHABLE
  }
}

async function seenOf(
  instance: Instance,
  local: LocalLevel,
  key: Key,
  budget: Budget,
): Promise<{ readonly seen: Look | undefined; readonly bond: Bond | undefined }> {
  const known = local.suspect(key)
  const reading = local.begin(key)
  let node: string | undefined
  let bond: Bond | undefined
  let found: Bytes | undefined
  try {
    const answeredBy = (by: string): void => {
      node = by
    }
    found = await budget.spend(async (deadlineMs) => {
      const options = { deadlineMs, binary: true }
      if (known === undefined) {
        const calls = timedCalls(key).map((call) => ({ ...call, answeredBy }))
        return timedBytes(await instance.port.pipeline(calls, options), 0, false)
      }
      const call = { ...reprove.call({ entry: key }, { version: known.version }), answeredBy }
      return provedBytes(await instance.port.call(call, options), known)
    })
  } finally {
    bond = local.end(key, reading, node)
  }
  const judged = judge(instance, found)
  return { seen: judged instanceof Promise ? await judged : judged, bond }
}

function provedBytes(reply: Reply, known: Held): Bytes | undefined {
  const [state, ...rest] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (state === 1) {
    const leftMs = Number(rest[0])
    return leftMs > 0 ? { bytes: known.bytes, leftMs } : undefined
  }
  const [v, x, lives] = rest
  const leftMs = Number(lives) - (Buffer.isBuffer(x) ? Number(x.toString()) : 0)
  return Buffer.isBuffer(v) && leftMs > 0 ? { bytes: v, leftMs } : undefined
}
