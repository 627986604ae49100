import { ConfigurationError } from '../errors.js'
import { type Key, keyOf } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { SLOTS, slotOf } from '../slots.js'
import * as scripts from './scripts.js'

let tags: readonly string[] | undefined

/** The shortest hash tag of every slot. */
function tagOf(slot: number): string {
  tags ??= everyTag()
  return tags[slot] ?? ''
}

function everyTag(): readonly string[] {
  const found: string[] = []
  for (let left = SLOTS, i = 0; left > 0; i++) {
    const tag = i.toString(36)
    const slot = slotOf(tag)
    if (found[slot] !== undefined) continue
    found[slot] = tag
    left--
  }
  return found
}

/** What is known of the server that gives the locks of a slot: one for all locks of the namespace there. */
export function markerOf(namespace: string, slot: number): Key {
  return keyOf({ namespace, pattern: 'lock-marker', name: 'slot' }, tagOf(slot))
}

/** So many places, over all primaries, keep the longest time of a lock: a server that forgets must not be the only one. */
const PLACES = 8

/** Raises the longest time that locks of a name may be held, or looks with 0. Never lowered; those that answer count. */
export async function longestOf(
  port: RedisPort,
  name: string,
  ms: number,
  options: CallOptions,
): Promise<number> {
  const calls = Array.from({ length: PLACES }, (_, i) => {
    const space = { namespace: port.namespace, pattern: 'lock-marker', name: 'longest' }
    return scripts.raise.call({ longest: keyOf(space, tagOf((i * SLOTS) / PLACES)) }, { name, ms })
  })
  const answers = await port.pipeline(calls, options)
  const known = answers.flatMap((one) =>
    one.status === 'fulfilled' ? [scripts.raise.decode(one.value)] : [],
  )
  if (known.length > 0) return Math.max(...known)
  throw answers.find((one) => one.status === 'rejected')?.reason
}

/** So many markers are renewed at a time. */
const AT_ONCE = 512

/** A node as the operations on clusters name it. */
interface Place {
  readonly id: string
  readonly host: string
  readonly port: number
}

/**
 * Says that slots have come to a node without a loss, so that their locks need no quarantine there: for `afterLosslessMove`
 * of `moveSlots`, `rebalance`, `removeNode` and `failover`, which call it exactly then. It renews the locks of the port's
 * namespace. What the node before may have forgotten stays in quarantine, and so do slots that it does not reach: an error
 * here costs an outage of the longest time of a lock, never two holders.
 *
 * @returns how many slots had locks, and are renewed
 * @throws RedisUnavailableError one of the two nodes does not answer
 *
 * @example
 * ```ts
 * import { rebalance } from 'slotwise/cluster'
 * import { connect } from 'slotwise/ioredis'
 * import { renewMarkers } from 'slotwise/lock'
 *
 * const nodes = ['127.0.0.1:7000']
 * const redis = await connect({ nodes, namespace: 'shop' })
 * await rebalance({
 *   nodes,
 *   afterLosslessMove: async (slots, to, from) => void (await renewMarkers(redis, slots, from)),
 * })
 * ```
 */
export async function renewMarkers(
  port: RedisPort,
  slots: readonly number[],
  from: Place,
  options: CallOptions = {},
): Promise<number> {
  const run = await runOf(port, from, options)
  let renewed = 0
  for (let at = 0; at < slots.length; at += AT_ONCE) {
    const calls = slots
      .slice(at, at + AT_ONCE)
      .map((slot) => scripts.renew.call({ marker: markerOf(port.namespace, slot) }, { from: run }))
    for (const answer of await port.pipeline(calls, options)) {
      if (answer.status === 'rejected') throw answer.reason
      renewed += scripts.renew.decode(answer.value)
    }
  }
  return renewed
}

async function runOf(port: RedisPort, { id, host, port: at }: Place, options: CallOptions): Promise<string> {
  const node = port.topology().nodes.some((one) => one.id === id) ? id : `${host}:${at}`
  const run = /run_id:(\w{40})/.exec(String(await port.onNode(node, ['INFO', 'server'], options)))?.[1]
  if (run === undefined) throw new ConfigurationError(`${host}:${at} does not say which run it is`)
  return run
}
