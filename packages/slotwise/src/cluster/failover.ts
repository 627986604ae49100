import { ConfigurationError, ImpossibleChangeError, UnhealthyClusterError } from '../errors.js'
import { oneOf } from '../options.js'
import { addressOf } from '../redis/address.js'
import { type Lineage, reigning } from '../redis/lineage.js'
import { accepted, takeOver } from './accepted.js'
import { Fleet, type FleetNode, type OperateOptions, placeOf } from './fleet.js'
import { isHandedOver, lineageOf } from './lineage.js'
import type { Member } from './observe.js'
import { unsettled } from './settled.js'
import { type NodeView, slotsOf } from './view.js'

/** Settings of {@link failover}. */
export interface FailoverOptions extends OperateOptions {
  /** Id or address of the replica that is to be the primary. */
  readonly to?: string | undefined
  /** Instead: of the primary that is to be one no more; one of its replicas takes its place. */
  readonly from?: string | undefined
  /**
   * `'planned'`: both agree first on what has been written, so nothing is lost and nobody is refused for longer than
   * some milliseconds. `'takeover'`: the replica takes the slots without asking anybody, for a majority that is gone;
   * **what it had not received is lost**, and two nodes may serve the same slots until they hear of each other.
   *
   * @defaultValue `'planned'`
   */
  readonly mode?: 'planned' | 'takeover' | undefined
}

/** Who serves now, and whether nothing was lost. */
export interface FailedOver {
  /** Whose place was taken; `undefined` where nothing had to be done. */
  readonly from: FleetNode | undefined
  /** Who took it; where nothing had to be done, the node that was named. */
  readonly to: FleetNode
  readonly changed: boolean
  /** Planned, and both say that nothing was lost. */
  readonly lossless: boolean
  readonly tookMs: number
}

/**
 * Lets a replica take the place of its primary. Safe to run again: `to` that is a primary already stays one, and
 * `from` that is none any more, or does not answer and has been replaced, is left alone; a takeover then sees to it that
 * all nodes that answer believe in those who took over, as far as they hear of them.
 *
 * @throws UnhealthyClusterError the cluster is not healthy (for `'planned'`; a takeover leaves out nodes that do not answer), or the
 *   replica was not promoted in time
 * @throws ImpossibleChangeError the primary has no replica that could take its place
 * @throws ConfigurationError a node is none of this cluster
 *
 * @example
 * ```ts
 * import { failover } from 'slotwise/cluster'
 *
 * const { from, to, tookMs } = await failover({ nodes: ['10.0.0.1:6379'], to: '10.0.1.1:6379' })
 * console.log(from?.port, to.port, tookMs)
 * ```
 */
export async function failover(options: FailoverOptions): Promise<FailedOver> {
  if ((options.to === undefined) === (options.from === undefined)) {
    throw new ConfigurationError('name either the replica, as `to`, or the primary, as `from`')
  }
  const mode = oneOf('mode', options.mode ?? 'planned', ['planned', 'takeover'])
  const { timeoutMs = 30_000, signal, dryRun = false, onProgress, afterLosslessMove } = options
  const act = async (fleet: Fleet): Promise<FailedOver> => {
    const began = performance.now()
    const views =
      mode === 'planned' ? await fleet.agreed(Math.min(timeoutMs, 5000), signal) : await fleet.look()
    const isPlanned = mode === 'planned'
    const took = () => Math.round(performance.now() - began)
    const choice = successor(fleet, views, options)
    if ('replaced' in choice) {
      if (!isPlanned && !dryRun) await accepted(fleet, { signal })
      return { from: undefined, to: choice.replaced, changed: false, lossless: isPlanned, tookMs: took() }
    }
    const { replica } = choice
    const from = followedBy(replica, views)
    const result = { from, to: placeOf(replica), changed: true, lossless: isPlanned }
    if (dryRun) return { ...result, tookMs: took() }
    onProgress?.({
      step: `${replica.node} takes the place of ${from === undefined ? 'its primary' : addressOf(from)}`,
      slotsDone: 0,
      slotsTotal: 0,
      keysMoved: 0,
    })
    const order = async () => {
      if (isPlanned) await fleet.order(replica, ['CLUSTER', 'FAILOVER'])
      else await takeOver(fleet, replica)
    }
    const former = isPlanned ? views.find(({ self }) => self.id === from?.id) : undefined
    const ends = former && ([fleet.memberOf(former), fleet.memberOf(replica)] as const)
    const before = ends && (await lineageOf(ends[0]))
    await order()
    const slots = await promoted(fleet, replica, { isAgreed: isPlanned, again: order, timeoutMs, signal })
    if (!isPlanned) await accepted(fleet, { successor: replica, signal })
    const tookMs = took()
    if (from === undefined || ends === undefined || before === undefined) return { ...result, tookMs }
    const lossless = await wasHandedOver(ends, before)
    if (lossless) await afterLosslessMove?.(slots, placeOf(replica), { ...from, ...reigning(before) })
    return { ...result, lossless, tookMs }
  }
  // Nodes that do not answer are what a takeover is for, and no reason to refuse it.
  return await Fleet.with(options, act, mode === 'takeover' ? 'left-out' : 'refused')
}

/** What one that handed over gets to follow its successor. */
const FOLLOWS_MS = 5000

/**
 * Whether the successor got everything: both agree where one history ended and the next began. An order that came to nothing may
 * be followed by an ordinary election, after which the same node is a primary.
 */
async function wasHandedOver(ends: readonly [Member, Member], before: Lineage): Promise<boolean> {
  const deadline = performance.now() + FOLLOWS_MS
  for (;;) {
    const both = await Promise.all(ends.map(lineageOf)).catch(() => undefined)
    const [from, to] = both ?? []
    if (from === undefined || to === undefined) return false
    if (isHandedOver(before, from, to)) return true
    if (performance.now() > deadline || (from.role !== 'master' && from.reign === to.reign)) return false
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Who is to take over, or who was named, where nothing is to be done: it is a primary, or none any more. */
function successor(
  fleet: Fleet,
  views: readonly NodeView[],
  { to, from = '' }: FailoverOptions,
): { readonly replica: NodeView } | { readonly replaced: FleetNode } {
  if (to !== undefined) {
    const replica = fleet.find(views, to)
    return replica.self.primary === undefined ? { replaced: placeOf(replica) } : { replica }
  }
  // A primary that does not answer is known by what the others say of it.
  const silent = views
    .flatMap(({ others }) => [...others.values()])
    .find(
      (line) => [line.id, addressOf(line)].includes(from) && !views.some(({ self }) => self.id === line.id),
    )
  if (silent !== undefined) {
    const { id, host, port } = silent
    return isReplaced(views, id) ? { replaced: { id, host, port } } : { replica: replicaOf(views, id, from) }
  }
  const node = fleet.find(views, from)
  if (node.self.primary !== undefined) return { replaced: placeOf(node) }
  return { replica: replicaOf(views, node.self.id, node.node) }
}

/**
 * Whether nothing is left to take from a node that does not answer. What an answering node calls its own counts before
 * what others believe: they may not have heard of a takeover that has just been, and a second one by another replica
 * would give the slots to two nodes.
 */
function isReplaced(views: readonly NodeView[], id: string): boolean {
  const claimed = new Set(views.flatMap(({ self }) => slotsOf(self.slots)))
  const believed = views.flatMap(({ others }) => slotsOf(others.get(id)?.slots ?? []))
  return believed.every((slot) => claimed.has(slot))
}

/** One that is linked, if there is any: it has received what the others have, or is about to. */
function replicaOf(views: readonly NodeView[], primary: string, name: string): NodeView {
  const replicas = views.filter(({ self }) => self.primary === primary)
  const chosen = replicas.find(({ linked }) => linked) ?? replicas[0]
  if (chosen !== undefined) return chosen
  throw new ImpossibleChangeError(`${name} has no replica that could take its place`)
}

/** The primary of a replica, which need not answer itself. */
function followedBy({ self, others }: NodeView, views: readonly NodeView[]): FleetNode | undefined {
  const primary = views.find((view) => view.self.id === self.primary)
  if (primary !== undefined) return placeOf(primary)
  const line = others.get(self.primary ?? '')
  return line && { id: line.id, host: line.host, port: line.port }
}

/** A replica that has not caught up, or got no majority, for five seconds gives a planned failover up without a word. */
const GIVEN_UP_MS = 6000

async function promoted(
  fleet: Fleet,
  replica: NodeView,
  {
    isAgreed,
    again,
    timeoutMs,
    signal,
  }: {
    readonly isAgreed: boolean
    /** Orders it once more. */
    readonly again: () => Promise<unknown>
    readonly timeoutMs: number
    readonly signal: AbortSignal | undefined
  },
): Promise<readonly number[]> {
  const deadline = performance.now() + timeoutMs
  let ordered = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const views = await fleet.look()
    const now = views.find(({ self }) => self.id === replica.self.id)
    const isPrimary = now !== undefined && now.self.primary === undefined && now.self.slots.length > 0
    const missing = isAgreed ? unsettled(views) : undefined
    if (isPrimary && missing === undefined) return slotsOf(now.self.slots)
    if (performance.now() > deadline) {
      const why = isPrimary ? missing : `${replica.node} was not promoted`
      throw new UnhealthyClusterError(`the failover did not end in time: ${why}`)
    }
    if (!isPrimary && performance.now() - ordered > GIVEN_UP_MS) {
      ordered = performance.now()
      // It may have become one in between, and then says so.
      await again().catch(() => {})
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
