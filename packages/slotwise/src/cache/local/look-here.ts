import type { Key } from '../../keys.js'
import type { Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import type { Budget } from '../budget.js'
import type { Instance } from '../instance.js'
import { type Bytes, judge, type Look, timedBytes, timedCalls, UNREACHABLE } from '../look-reply.js'
import type { TagCheck } from '../tags.js'
import type { Held, Holding, LocalLevel } from './level.js'
import reproveSource from './reprove.lua.js'

/** What a look wants besides the entry. */
interface Terms {
  /** Begun by the first that needs it. */
  readonly check: () => TagCheck
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
 * proved is only compared, and not sent again. One round trip, and one more for tags of which nothing is known. Of a hot
 * key, a read under way answers whoever begins soon enough after it. Never rejects.
 */
export async function lookHere(
  instance: Instance,
  local: LocalLevel,
  key: Key,
  budget: Budget,
  { check: begun, isStrict }: Terms,
): Promise<Look> {
  if (!instance.reachable(key)) return UNREACHABLE
  const here = isStrict ? undefined : local.find(key)
  if (here !== undefined) {
    const seen = lookOf(local, here)
    return seen.value instanceof Promise ? { ...seen, value: await seen.value } : seen
  }
  if (!isStrict) local.missed(key)
  try {
    const check = begun()
    // After an invalidation has resolved, no strict read that begins later may get what was read before it.
    const shared = isStrict ? undefined : local.sharedRead(key)
    const theirs = shared && (await budget.await(shared.catch(nothing), undefined))
    if (theirs !== undefined) {
      instance.count('sharedReads')
      const value = theirs.state === 'found' ? await anotherOf(local, theirs) : undefined
      const seen = theirs.state === 'found' ? { ...theirs, value } : theirs
      return await checked(local, key, seen, check, budget)
    }
    return await read(instance, local, key, budget, check, isStrict)
  } catch (error) {
    instance.unanswered()
    instance.report(error, 'read', key)
    return UNREACHABLE
  }
}

const nothing = (): undefined => undefined

/** Nobody but its caller has it, unless nobody can change it. */
function anotherOf(local: LocalLevel, { value, bytes }: Seen): unknown {
  return local.valueOf({ handing: local.handing(value), value, bytes })
}

type Seen = Extract<Look, { readonly state: 'found' }>

/** What Redis has. It is held, if nothing is heard of the key until all that is to be known of it is known. */
async function read(
  instance: Instance,
  local: LocalLevel,
  key: Key,
  budget: Budget,
  check: TagCheck,
  isStrict: boolean,
): Promise<Look> {
  const from = performance.now()
  const reading = local.begin(key)
  let node: string | undefined
  let isAnswered = false
  let held: Omit<Holding, 'bond'> | undefined
  try {
    const asked = ask(instance, local, key, budget, (by) => {
      node = by
    })
    if (!isStrict) local.share(key, reading, asked)
    const seen = await asked
    instance.answered(performance.now() - from)
    const found = await checked(local, key, seen, check, budget)
    isAnswered = true
    const { freshForMs = 0, ageMs, stale } = found.state === 'found' ? found : NOT_FOUND
    if (found.state === 'found' && !stale && ageMs !== undefined && freshForMs > 0) {
      const { value, bytes, stamps, keptMs } = found
      held = { value, bytes, stamps, tags: check.tagsOf(stamps), keptMs, ageMs, freshForMs }
    }
    return found
  } finally {
    const bond = local.end(key, reading, node)
    if (bond !== undefined && held !== undefined) local.keep(key, { ...held, bond })
    else if (isAnswered) local.drop(key, reading)
  }
}

const NOT_FOUND = { freshForMs: 0, ageMs: undefined, stale: false }

/** The same, if its tags have not changed since. */
async function checked(
  local: LocalLevel,
  key: Key,
  seen: Look | undefined,
  check: TagCheck,
  budget: Budget,
): Promise<Look> {
  if (seen === undefined) return { state: 'nothing' }
  if (seen.state !== 'found') return seen
  if (seen.stamps.length > 0) {
    const [holds] = await check.hold([seen.stamps], budget)
    if (holds !== true) {
      local.forget(key)
      return { state: 'outdated', bytes: seen.bytes }
    }
  }
  return { ...seen, value: local.handOut(seen.value) }
}

async function ask(
  instance: Instance,
  local: LocalLevel,
  key: Key,
  budget: Budget,
  answeredBy: (node: string) => void,
): Promise<Look | undefined> {
  const known = local.suspect(key)
  const found = await budget.spend(async (deadlineMs) => {
    const options = { deadlineMs, binary: true }
    if (known === undefined) {
      const calls = timedCalls(key).map((call) => ({ ...call, answeredBy }))
      return timedBytes(await instance.port.pipeline(calls, options), 0, false)
    }
    const call = { ...reprove.call({ entry: key }, { version: known.version }), answeredBy }
    const proved = provedBytes(await instance.port.call(call, options), known)
    if (proved?.bytes === known.bytes) instance.audit?.saw('proof', key)
    return proved
  })
  const judged = judge(instance, found)
  return judged instanceof Promise ? await judged : judged
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
