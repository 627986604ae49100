import { sendAnew } from '../invalidation/send-anew.js'
import type { Key } from '../keys.js'
import type { Budget } from './budget.js'
import { type Stamp, versionOf } from './entry.js'
import type { Instance } from './instance.js'
import { lookOf } from './local/look-here.js'
import { thrown } from './look-reply.js'
import { tokenOf } from './put.js'
import { newToken, observe } from './scripts.js'
import { TagCheck } from './tags.js'
import type { CacheRead } from './view-options.js'

async function holds(
  instance: Instance,
  key: Key,
  stamps: readonly Stamp[],
  budget: Budget,
  isStrict: boolean,
): Promise<boolean> {
  if (stamps.length === 0) return true
  const [held] = await new TagCheck(instance.tags, key, { isStrict }).hold([stamps], budget)
  return held === true
}

/** The entry with its age and a token. Never rejects. */
export async function readWithToken<T>(
  instance: Instance,
  key: Key,
  budget: Budget,
  isStrict = false,
): Promise<CacheRead<T>> {
  const { local } = instance
  const held = isStrict ? undefined : local?.find(key)
  if (local !== undefined && held !== undefined) {
    const { value, ageMs = 0 } = lookOf(local, held)
    instance.count('localHits')
    instance.audit?.sawHeld(key, held.version)
    const token = tokenOf.version(held.version, held.stamps)
    return { found: true, value: (await value) as T, source: 'local', ageMs, stale: false, token }
  }
  if (!instance.reachable(key)) return { found: false, token: tokenOf.none }
  const { leaseMs, codec } = instance.settings
  const from = performance.now()
  try {
    const call = () => observe.call({ entry: key }, { token: newToken(), mark_ms: leaseMs })
    const [result] = await budget.spend((deadlineMs) =>
      sendAnew(instance.port, [call], { deadlineMs, binary: true }),
    )
    const seen = observe.decode(result?.status === 'fulfilled' ? result.value : thrown(result))
    instance.answered(performance.now() - from)
    if (seen.state === 'found') {
      const version = versionOf(seen.bytes)
      const decoded = await codec.read(seen.bytes)
      const isCurrent =
        decoded !== undefined && (await holds(instance, key, decoded.stamps, budget, isStrict))
      if (decoded === undefined || !isCurrent) {
        instance.count('misses')
        return { found: false, token: tokenOf.version(version) }
      }
      const { header, value } = decoded
      const ageMs = Math.max(0, header.keptMs - seen.leftMs)
      instance.count('hits')
      instance.audit?.saw('hit', key)
      return {
        found: true,
        value: (local === undefined ? value : local.handOut(value)) as T,
        source: 'redis',
        ageMs,
        stale: ageMs >= header.freshMs,
        token: tokenOf.version(version, decoded.stamps),
      }
    }
    instance.count('misses')
    return { found: false, token: seen.state === 'nothing' ? tokenOf.mark(seen.mark) : tokenOf.none }
  } catch (error) {
    instance.unanswered()
    instance.report(error, 'read', key)
    return { found: false, token: tokenOf.none }
  }
}
