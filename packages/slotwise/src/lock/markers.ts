import { ConfigurationError } from '../errors.js'
import { type Key, keyOf, readKey } from '../keys.js'
import type { CallOptions } from '../options.js'
import { type Lineage, type Reigning, readLineage, reigning } from '../redis/lineage.js'
import type { RedisPort, Reply, ScriptCall } from '../redis/port.js'
import { SLOTS, slotOf } from '../slots.js'
import * as scripts from './scripts.js'

let tags: readonly string[] | undefined

/** The shortest hash tag of every slot. */
export function tagOf(slot: number): string {
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

/** Those of one namespace, each made once. */
export class Markers {
  readonly #namespace: string
  readonly #made: (Key | undefined)[] = []

  constructor(namespace: string) {
    this.#namespace = namespace
  }

  of(slot: number): Key {
    this.#made[slot] ??= markerOf(this.#namespace, slot)
    return this.#made[slot]
  }
}

/** Slots all over the primaries that keep what must be known after a server has forgotten: the longest time of a lock, and which slots have some. */
export const PLACES = Array.from({ length: 8 }, (_, i) => (i * SLOTS) / 8)

/** What {@link raisedTo} has to know of the locks. */
interface Known {
  readonly knownAs: string
  readonly quarantine: boolean
  readonly report: (error: unknown) => void
}

/**
 * Raises the longest time that locks of a kind and name may be held, and gives what it is then, which is never less than before;
 * `undefined` where nobody answers.
 * Those that answer count. That nobody does is reported where there is a quarantine: they give no locks either.
 *
 * @throws ConfigurationError such locks are used with the other setting of `quarantine`: their tokens are kept elsewhere
 */
export async function raisedTo(
  port: RedisPort,
  longestMs: number,
  { knownAs, quarantine, report }: Known,
  options: CallOptions,
): Promise<number | undefined> {
  const space = { namespace: port.namespace, pattern: 'lock-marker', name: 'longest' }
  const args = { name: knownAs, ms: quarantine ? longestMs : 0 }
  const keys = PLACES.map((slot) => keyOf(space, tagOf(slot)))
  // Before anything is written: one place that has forgotten the name would else keep the wrong setting.
  const looked = keys.map((key) => ({ key, command: ['HGET', key, knownAs], repeat: 'safe' }) as const)
  const saved = await answersOf(port, looked, options)
  const isOther = saved.values.some((one) => one !== null && (Number(one) === 0) === quarantine)
  // Where nobody answers, nobody is asked twice.
  const raised =
    isOther || saved.values.length === 0
      ? saved
      : await answersOf(
          port,
          keys.map((longest) => scripts.raise.call({ longest }, args)),
          options,
        )
  const known = raised === saved ? [] : raised.values.map((said) => scripts.raise.decode(said))
  if (isOther || known.includes(-1)) {
    throw new ConfigurationError(
      `${knownAs} is used ${quarantine ? 'without' : 'with'} a quarantine elsewhere, or was: what has another setting needs another name`,
    )
  }
  // Without a quarantine nothing hangs on it but that somebody is told of another setting.
  if (known.length === 0 && quarantine) report(raised.failure)
  return known.length === 0 ? undefined : Math.max(longestMs, ...known)
}

/** What those said that answered, and why one of the others did not. */
async function answersOf(
  port: RedisPort,
  calls: Parameters<RedisPort['pipeline']>[0],
  options: CallOptions,
): Promise<{ readonly values: readonly Reply[]; readonly failure: unknown }> {
  try {
    const answers = await port.pipeline(calls, options)
    return {
      values: answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
      failure: answers.find((one) => one.status === 'rejected')?.reason,
    }
  } catch (failure) {
    return { values: [], failure }
  }
}

/** A slot of a large cluster has some thousand keys; one that has more does not keep a node busy, and the others tell. */
const MOST_KEYS = 20_000

/**
 * The namespaces whose locks may be in quarantine: those of all `Locks` but with `quarantine: false`, for operators who do not
 * know them. It asks every node for the keys of eight slots, and for no more than 20000 of each; it takes the right to
 * `CLUSTER GETKEYSINSLOT`, which moving slots takes as well.
 *
 * @throws RedisUnavailableError no node answers
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { lockNamespaces } from 'slotwise/lock'
 *
 * console.log(await lockNamespaces(await connect({ nodes: ['127.0.0.1:7000'] }))) // [ 'shop', 'office' ]
 * ```
 */
export async function lockNamespaces(port: RedisPort, options: CallOptions = {}): Promise<readonly string[]> {
  // A slot that is on its way has its keys at either end, and a new primary is not known as one everywhere.
  const asked = port
    .topology()
    .nodes.flatMap(({ id }) =>
      PLACES.map((slot) => port.onNode(id, ['CLUSTER', 'GETKEYSINSLOT', slot, MOST_KEYS], options)),
    )
  const answers = await Promise.allSettled(asked)
  const known = answers.filter((one) => one.status === 'fulfilled')
  if (known.length === 0) throw answers.find((one) => one.status === 'rejected')?.reason
  const found = new Set<string>()
  for (const { value } of known) {
    for (const key of value as readonly Reply[]) {
      const read = readKey(String(key))
      if (read?.pattern === 'lock-marker' && read.name === 'longest') found.add(read.namespace)
    }
  }
  return [...found].toSorted()
}

/** Options of {@link settleMarkers}. */
export interface SettleMarkersOptions extends CallOptions {
  /** Whose locks; {@link lockNamespaces} finds them. @defaultValue that of the port */
  readonly namespaces?: readonly string[] | undefined
}

/** Options of {@link renewMarkers}. */
export interface RenewMarkersOptions extends SettleMarkersOptions {
  /**
   * The node that the slots came to, so that no other is renewed should it take over meanwhile without having heard of all locks.
   * @defaultValue whichever has them; a lost connection is an `OutcomeUnknownError` then
   */
  readonly to?: Place | undefined
}

/** No marker names it. */
const NONE = '-'
/** So many markers are asked for at a time. */
const AT_ONCE = 512

/** A node as the operations on clusters name it. */
interface Place {
  readonly id: string
  readonly host: string
  readonly port: number
}

/**
 * Says, before slots leave a node, that nobody knows of all locks of those whose markers do not name that node as it is now: for
 * `beforeMove` of `moveSlots`, `rebalance` and `removeNode`, which call it exactly then. Such a marker is from before the
 * node took over, and may be older than what others have given since. If it named the one that the slot comes back to, that one would
 * give locks that are held; now it gives none until they are over. Tokens go on as they were.
 *
 * @returns how many markers name nobody by this, one for each namespace in a slot that ever had a lock
 * @throws RedisUnavailableError a node does not answer; let the move fail then, or two may hold a lock after it
 *
 * @example
 * ```ts
 * import { moveSlots } from 'slotwise/cluster'
 * import { connect } from 'slotwise/ioredis'
 * import { renewMarkers, settleMarkers } from 'slotwise/lock'
 *
 * const nodes = ['127.0.0.1:7000']
 * const redis = await connect({ nodes, namespace: 'shop' })
 * await moveSlots({
 *   nodes,
 *   to: '127.0.0.1:7001',
 *   slots: 100,
 *   beforeMove: async (slots, from) => void (await settleMarkers(redis, slots, from)),
 *   afterLosslessMove: async (slots, to, from) => void (await renewMarkers(redis, slots, from, { to })),
 * })
 * ```
 */
export async function settleMarkers(
  port: RedisPort,
  slots: readonly number[],
  from: Place & Reigning,
  { namespaces = [port.namespace], ...options }: SettleMarkersOptions = {},
): Promise<number> {
  const { reign = NONE, run = '' } =
    from.reign === undefined ? await formerly(port, from, undefined, options) : from
  const call = (marker: Key) => scripts.settle.call({ marker }, { from: reign, run })
  return await changed(port, markersOf(namespaces, slots), call, options)
}

/**
 * Says that slots have come to a node without a loss, so that their locks need no quarantine there: for `afterLosslessMove`
 * of `moveSlots`, `rebalance`, `removeNode` and `failover`, which call it exactly then. It renews the locks of the
 * namespaces. What the node before may have forgotten stays in quarantine, and so do slots that it does not reach: an error
 * here costs an outage of the longest time of a lock, never two holders. {@link settleMarkers} belongs before the moves.
 *
 * @returns how many markers, one for each namespace in a slot that ever had a lock, are renewed
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
 *   afterLosslessMove: async (slots, to, from) => void (await renewMarkers(redis, slots, from, { to })),
 * })
 * ```
 */
export async function renewMarkers(
  port: RedisPort,
  slots: readonly number[],
  from: Place & Reigning,
  { namespaces = [port.namespace], to, ...options }: RenewMarkersOptions = {},
): Promise<number> {
  const { reign = NONE, run = '' } = from.reign === undefined ? await formerly(port, from, to, options) : from
  const taken = to && (await lineageOf(port, to, options)).reign
  const args = { from: reign, run, to: taken ?? '' }
  const repeat = to === undefined ? 'unsafe' : 'safe'
  const call = (marker: Key) => ({ ...scripts.renew.call({ marker }, args), repeat }) as const
  return await changed(port, markersOf(namespaces, slots), call, options)
}

const markersOf = (namespaces: readonly string[], slots: readonly number[]) =>
  namespaces.flatMap((namespace) => slots.map((slot) => markerOf(namespace, slot)))

/** How many markers a script says that it has changed. */
async function changed(
  port: RedisPort,
  markers: readonly Key[],
  call: (marker: Key) => ScriptCall,
  options: CallOptions,
): Promise<number> {
  let count = 0
  for (let at = 0; at < markers.length; at += AT_ONCE) {
    for (const answer of await port.pipeline(markers.slice(at, at + AT_ONCE).map(call), options)) {
      if (answer.status === 'rejected') throw answer.reason
      count += scripts.renew.decode(answer.value)
    }
  }
  return count
}

/** As what a node had the slots, where nobody noted it: as what it is, or as the primary that its successor names. */
async function formerly(
  port: RedisPort,
  from: Place,
  to: Place | undefined,
  options: CallOptions,
): Promise<Reigning> {
  const before = await lineageOf(port, from, options)
  if (before.role === 'master') return reigning(before)
  const after = to === undefined ? undefined : await lineageOf(port, to, options)
  const isSuccessor = after?.role === 'master' && after.reign === before.reign
  // Of anybody else it is not known what it has from whom: nothing is renewed.
  return { reign: isSuccessor ? after.earlier : undefined }
}

async function lineageOf(
  port: RedisPort,
  { id, host, port: at }: Place,
  options: CallOptions,
): Promise<Lineage> {
  const node = port.topology().nodes.some((one) => one.id === id) ? id : `${host}:${at}`
  const info = async (section: string) => String(await port.onNode(node, ['INFO', section], options))
  const lineage = readLineage(await info('replication'), await info('server'))
  if (lineage.run !== undefined && lineage.reign !== undefined) return lineage
  throw new ConfigurationError(`${host}:${at} does not say which run it is, or in which reign`)
}
