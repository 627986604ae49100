import { ConfigurationError, UnhealthyClusterError } from '../errors.js'
import { oneOf } from '../options.js'
import { Fleet, type FleetNode, type OperateOptions, placeOf } from './fleet.js'
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
  readonly from: FleetNode | undefined
  readonly to: FleetNode
  readonly changed: boolean
  readonly lossless: boolean
  readonly tookMs: number
}

/**
 * Lets a replica take the place of its primary. Safe to run again: `to` that is a primary already stays one, and
 * `from` that is none any more stays a replica.
 *
 * @throws UnhealthyClusterError the cluster is not healthy (for `'planned'`), or the replica was not promoted in time
 * @throws ConfigurationError there is no such replica
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
  return await Fleet.with(options, async (fleet) => {
    const began = performance.now()
    const views =
      mode === 'planned' ? await fleet.agreed(Math.min(timeoutMs, 5000), signal) : await fleet.look()
    const named = fleet.find(views, options.to ?? options.from ?? '')
    const isPrimary = named.self.primary === undefined
    const replica = options.from === undefined ? named : isPrimary ? replicaOf(views, named) : undefined
    const lossless = mode === 'planned'
    const took = () => Math.round(performance.now() - began)
    if (replica === undefined || (options.from === undefined && isPrimary)) {
      return { from: undefined, to: placeOf(named), changed: false, lossless, tookMs: took() }
    }
    const primary = views.find(({ self }) => self.id === replica.self.primary)
    const result = { from: primary && placeOf(primary), to: placeOf(replica), changed: true, lossless }
    if (dryRun) return { ...result, tookMs: took() }
    onProgress?.({
      step: `${replica.node} takes the place of ${primary?.node ?? 'its primary'}`,
      slotsDone: 0,
      slotsTotal: 0,
      keysMoved: 0,
    })
    await fleet.order(
      replica,
      mode === 'planned' ? ['CLUSTER', 'FAILOVER'] : ['CLUSTER', 'FAILOVER', 'TAKEOVER'],
    )
    const slots = await promoted(fleet, replica, lossless, timeoutMs, signal)
    const tookMs = took()
    if (lossless) await afterLosslessMove?.(slots, placeOf(replica))
    return { ...result, tookMs }
  })
}

/** One that is linked, if there is any: it has received what the others have, or is about to. */
function replicaOf(views: readonly NodeView[], primary: NodeView): NodeView {
  const replicas = views.filter(({ self }) => self.primary === primary.self.id)
  const chosen = replicas.find(({ linked }) => linked) ?? replicas[0]
  if (chosen !== undefined) return chosen
  throw new ConfigurationError(`${primary.node} has no replica that could take its place`)
}

async function promoted(
  fleet: Fleet,
  replica: NodeView,
  isAgreed: boolean,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<readonly number[]> {
  const deadline = performance.now() + timeoutMs
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
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
