import {
  ConfigurationError,
  ForeignClusterError,
  ImpossibleChangeError,
  UnhealthyClusterError,
} from '../errors.js'
import { oneOf } from '../options.js'
import { Fleet, type FleetNode, type OperateOptions, placeOf, primariesOf } from './fleet.js'
import { finishOpen } from './move-slots.js'
import { join, type Member, observe, parseAddress } from './observe.js'
import { unsettled } from './settled.js'
import type { NodeView } from './view.js'

/** Settings of {@link addNode}. */
export interface AddNodeOptions extends Omit<OperateOptions, 'beforeMove' | 'afterLosslessMove'> {
  /** `'host:port'` of the server that is to join: in cluster mode, empty, known to no cluster. */
  readonly node: string
  /** A primary joins without slots: `rebalance` gives it some. */
  readonly role: 'primary' | 'replica'
  /**
   * Id or address of the primary that a replica is to follow.
   * @defaultValue the one with the fewest replicas, on another host where there is one
   */
  readonly of?: string | undefined
}

/** What was done for a node to belong. */
export interface AddedNode {
  readonly node: FleetNode
  readonly role: 'primary' | 'replica'
  /** Whom it follows. */
  readonly of?: FleetNode | undefined
  /** `false` where it belonged already, in this role. */
  readonly changed: boolean
}

/**
 * Makes a server a part of a cluster, and resolves when every node knows it and, for a replica, when it is linked.
 * Safe to run again: a node that was introduced only is given its role, one that has it is left alone. A node that
 * has another role keeps it, and that is an error.
 *
 * @throws ImpossibleChangeError the node has another role, or there is no such primary to follow; nothing was changed
 * @throws ForeignClusterError the server holds data or belongs to another cluster; nothing was changed
 * @throws UnhealthyClusterError the cluster is not healthy, or does not become so
 *
 * @example
 * ```ts
 * import { addNode, rebalance } from 'slotwise/cluster'
 *
 * const nodes = ['10.0.0.1:6379']
 * await addNode({ nodes, node: '10.0.0.7:6379', role: 'primary' })
 * await addNode({ nodes, node: '10.0.1.7:6379', role: 'replica', of: '10.0.0.7:6379' })
 * await rebalance({ nodes })
 * ```
 */
export async function addNode(options: AddNodeOptions): Promise<AddedNode> {
  oneOf('role', options.role, ['primary', 'replica'])
  if (options.of !== undefined && options.role === 'primary') {
    throw new ConfigurationError('of names the primary of a replica, and a primary follows nobody')
  }
  const { username, password, tls, endpointMap, signal } = options
  const { timeoutMs = 30_000, dryRun = false, onProgress } = options
  const access = { username, password, tls, endpointMap, signal, timeoutMs: Math.min(timeoutMs, 5000) }
  const newcomer = await join(parseAddress(options.node), access)
  const say = (step: string) => onProgress?.({ step, slotsDone: 0, slotsTotal: 0, keysMoved: 0 })
  try {
    return await Fleet.with(options, async (fleet) => {
      const { views } = await finishOpen(fleet, { ...options, dryRun: true })
      const own = await viewOf(newcomer)
      const isKnown = views.some(({ self }) => self.id === own.self.id)
      if (!isKnown) refuseForeign(own)
      const of = options.role === 'replica' ? primaryFor(fleet, views, own, options.of) : undefined
      const result = {
        node: placeOf(own),
        role: options.role,
        ...(of === undefined ? {} : { of: placeOf(of) }),
      }
      if (isKnown && own.self.primary === of?.self.id) return { ...result, changed: false }
      if (isKnown && (own.self.primary !== undefined || own.self.slots.length > 0)) {
        const what = own.self.primary === undefined ? 'a primary with slots' : 'a replica of another primary'
        throw new ImpossibleChangeError(`${own.node} belongs to this cluster already, as ${what}`)
      }
      if (dryRun) return { ...result, changed: true }
      const deadline = performance.now() + timeoutMs
      if (!isKnown) {
        say(`introducing ${own.node}`)
        const { host, port, busPort } = own.meetAt
        for (const view of views) await fleet.order(view, ['CLUSTER', 'MEET', host, port, busPort])
        await until(fleet, newcomer, deadline, signal)
      }
      if (of !== undefined) {
        say(`making ${own.node} a replica of ${of.node}`)
        await newcomer.client.call(['CLUSTER', 'REPLICATE', of.self.id])
        await until(fleet, newcomer, deadline, signal)
      }
      return { ...result, changed: true }
    })
  } finally {
    newcomer.client.close()
  }
}

async function viewOf(member: Member): Promise<NodeView> {
  const view = await observe(member)
  if (view !== undefined) return view
  throw new UnhealthyClusterError(`${member.client.node} is still reading its data`)
}

function refuseForeign(own: NodeView): void {
  const [stranger] = own.others.values()
  const why =
    stranger !== undefined
      ? `belongs to another cluster, with ${stranger.host}:${stranger.port}`
      : own.keys > 0
        ? `holds ${own.keys} keys`
        : own.self.slots.length > 0
          ? 'owns slots of its own'
          : undefined
  if (why === undefined) return
  throw new ForeignClusterError(
    `${own.node} ${why}: give an empty server, or CLUSTER RESET this one. Nothing was changed.`,
    {
      node: own.node,
    },
  )
}

function primaryFor(
  fleet: Fleet,
  views: readonly NodeView[],
  own: NodeView,
  of: string | undefined,
): NodeView {
  if (of !== undefined) {
    const named = fleet.find(views, of)
    if (named.self.primary === undefined && named.self.id !== own.self.id) return named
    throw new ImpossibleChangeError(`${named.node} is no primary that ${own.node} could follow`)
  }
  // One that it follows already is as good as it was when it was chosen.
  const present = views.find(({ self }) => self.id === own.self.primary)
  if (present !== undefined) return present
  const cost = (view: NodeView) =>
    views.filter(({ self }) => self.primary === view.self.id).length * 2 + (view.host === own.host ? 1 : 0)
  const able = primariesOf(views).filter(({ self }) => self.slots.length > 0 && self.id !== own.self.id)
  const [best] = able.toSorted((a, b) => cost(a) - cost(b))
  if (best === undefined) throw new ImpossibleChangeError('there is no primary with slots to follow')
  return best
}

/** Until all of them, the newcomer too, agree. */
async function until(
  fleet: Fleet,
  newcomer: Member,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted()
    const own = await viewOf(newcomer)
    const views = await fleet.look()
    const missing = unsettled(views.some(({ self }) => self.id === own.self.id) ? views : [...views, own])
    if (missing === undefined) return
    if (performance.now() > deadline) throw new UnhealthyClusterError(`the cluster is not whole: ${missing}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}
