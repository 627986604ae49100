import type { ConnectionOptions } from 'node:tls'
import { ConfigurationError, UnhealthyClusterError } from '../errors.js'
import { integer, shown } from '../options.js'
import { addressOf } from '../redis/address.js'
import type { Reigning } from '../redis/lineage.js'
import type { Endpoint } from '../redis/link.js'
import type { WireCommand } from '../redis/wire.js'
import { join, type Member, observe, parseAddress } from './observe.js'
import { unsettled } from './settled.js'
import type { NodeView } from './view.js'

/** How the operations on a cluster reach it, and who hears of their progress. */
export interface OperateOptions {
  /** `'host:port'` of any of its nodes; the others are learnt from them. */
  readonly nodes: readonly string[]
  /**
   * A user who may CLUSTER, INFO, DBSIZE, MIGRATE, MEMORY USAGE and COMMAND INFO; with MULTI, EXEC, CLIENT SETNAME and
   * CLIENT LIST it is also seen that somebody else is moving slots.
   */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `true` for TLS with the system's authorities. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** Where this process reaches a node that the cluster knows under another address: NAT, containers, tunnels. */
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
  /** Bound on connecting, and on each wait for the nodes to agree. @defaultValue `30000` */
  readonly timeoutMs?: number | undefined
  /** Says what would be done, and does nothing. @defaultValue `false` */
  readonly dryRun?: boolean | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Stops between two steps, none of which leaves anything that the next run does not go on from. */
  readonly signal?: AbortSignal | undefined
  /**
   * Called before anything of a move is begun, with the slots that are to leave a node and as what it has them, for patterns that
   * keep something by node: `settleMarkers` of `slotwise/lock`. Where it rejects, that move is not begun, and the operation
   * rejects so too; one that was found begun stays half moved, or is gone on with by the servers. Not called for a failover.
   */
  readonly beforeMove?: ((slots: readonly number[], from: FormerOwner) => Promise<void> | void) | undefined
  /**
   * Called when slots have come to a node from another one without a loss, for patterns that keep something by node: a lock's
   * proof that its server has not been restarted empty, which `renewMarkers` of `slotwise/lock` takes along.
   */
  readonly afterLosslessMove?:
    | ((slots: readonly number[], node: FleetNode, from: FormerOwner) => Promise<void> | void)
    | undefined
}

/** How far an operation has come. */
export interface Progress {
  /** One clause, the same while only the numbers grow. */
  readonly step: string
  readonly slotsDone: number
  readonly slotsTotal: number
  readonly keysMoved: number
}

/** A node as it is named in plans. */
export interface FleetNode {
  readonly id: string
  readonly host: string
  readonly port: number
}

/** A node that hands slots over, or has, and as what it had them, by its `master_replid` and `run_id`. */
export interface FormerOwner extends FleetNode, Reigning {}

interface AgreementOptions {
  /** Leaves out what finishing open moves will mend. */
  readonly toFinish?: boolean
  /** Sees how it is as long as that is not enough. */
  readonly mend?: (views: readonly NodeView[]) => Promise<void>
}

/** What becomes of nodes that do not answer. */
type Absent = 'refused' | 'left-out'

/** All nodes of one cluster, each with a connection of its own. */
export class Fleet {
  readonly members: readonly Member[]
  readonly #views = new Map<Member, NodeView>()

  readonly #absent: Absent
  #farewell: (() => Promise<unknown>) | undefined

  private constructor(members: readonly Member[], absent: Absent) {
    this.members = members
    this.#absent = absent
  }

  /**
   * Connects to every node that the first reachable one knows, and uses them; or those of them that answer, for what is
   * done because the others do not.
   */
  static async with<R>(
    options: OperateOptions,
    use: (fleet: Fleet) => Promise<R>,
    absent: Absent = 'refused',
  ): Promise<R> {
    const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 30_000)
    if (!Array.isArray(options.nodes) || options.nodes.length === 0) {
      throw new ConfigurationError(`nodes must name at least one node, got ${shown(options.nodes)}`)
    }
    const { username, password, tls, endpointMap, signal } = options
    const access = { username, password, tls, endpointMap, signal, timeoutMs: Math.min(timeoutMs, 5000) }
    const opened: Member[] = []
    const enter = async (address: { host: string; port: number }) => {
      const member = await join(address, access)
      opened.push(member)
      return member
    }
    try {
      const first = await Promise.any(options.nodes.map((node) => enter(parseAddress(node)))).catch(
        (error: unknown) => {
          throw error instanceof AggregateError ? error.errors[0] : error
        },
      )
      const view = await observe(first)
      if (view === undefined)
        throw new UnhealthyClusterError(`${first.client.node} is still reading its data`)
      const others = [...view.others.values()].filter(({ flags }) => !flags.includes('noaddr'))
      const known = opened.filter((member) => member !== first)
      const entered = await Promise.allSettled(
        others.map(
          async ({ host, port }) =>
            known.find((member) => member.ip === host && member.port === port) ??
            (await enter({ host, port })),
        ),
      )
      const missing = entered.find((one) => one.status === 'rejected')
      if (missing !== undefined && absent === 'refused') {
        throw new UnhealthyClusterError('a node of the cluster cannot be reached', { cause: missing.reason })
      }
      const rest = entered.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      const fleet = new Fleet([endpointMap ? asKnown(first, view) : first, ...rest], absent)
      try {
        return await use(fleet)
      } finally {
        await fleet.#farewell?.().catch(() => {})
      }
    } finally {
      for (const { client } of opened) client.close()
    }
  }

  /** Says what is to be done before the connections are closed, as servers notice that only later. */
  beforeLeaving(farewell: () => Promise<unknown>): void {
    this.#farewell = farewell
  }

  /** Asks all nodes what they know now. */
  async look(): Promise<readonly NodeView[]> {
    const looks = await Promise.allSettled(this.members.map(observe))
    return this.members.flatMap((member, index) => {
      const look = looks[index]
      const view = look?.status === 'fulfilled' ? look.value : undefined
      if (view !== undefined) {
        this.#views.set(member, view)
        return [view]
      }
      if (this.#absent === 'left-out') return []
      if (look?.status === 'rejected') throw look.reason
      throw new UnhealthyClusterError('a node is still reading its data')
    })
  }

  /**
   * Waits until all nodes agree and all is up.
   *
   * @throws UnhealthyClusterError saying what is missing
   */
  async agreed(
    timeoutMs: number,
    signal?: AbortSignal,
    { toFinish = false, mend }: AgreementOptions = {},
  ): Promise<readonly NodeView[]> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      signal?.throwIfAborted()
      const views = await this.look()
      const missing = unsettled(views, toFinish)
      if (missing === undefined) return views
      if (performance.now() > deadline) {
        throw new UnhealthyClusterError(`the cluster is not healthy: ${missing}`)
      }
      await mend?.(views)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }

  /** A node by its id, or by its address as it is given or as the others know it. */
  find(views: readonly NodeView[], node: string): NodeView {
    const found = this.seek(views, node)
    if (found !== undefined) return found
    const known = views.map((view) => view.node).join(', ')
    throw new ConfigurationError(`${shown(node)} is no node of this cluster; its nodes are ${known}`)
  }

  /** The same, where it need not be there. */
  seek(views: readonly NodeView[], node: string): NodeView | undefined {
    return views.find((view) => [view.self.id, view.node, addressOf(view.meetAt)].includes(node))
  }

  memberOf(view: NodeView): Member {
    const found = this.members.find((member) => this.#views.get(member)?.self.id === view.self.id)
    if (found !== undefined) return found
    throw new ConfigurationError(`${view.node} is no node of this cluster`)
  }

  /** Sends one command to one node, and throws what it refuses. */
  async order(view: NodeView, command: WireCommand, timeoutMs?: number): Promise<unknown> {
    return await this.memberOf(view).client.call(command, timeoutMs)
  }
}

/** Behind a map the address we were given may be ours alone: the others reach the node where it says that it is. */
function asKnown(member: Member, { self: { host, port } }: NodeView): Member {
  return host === '' ? member : { ...member, host, port, ip: host }
}

/** What plans and results show of a node. */
export function placeOf({ self, host, port }: NodeView): FleetNode {
  return { id: self.id, host, port }
}

/** Primaries of the views, those without slots too. */
export function primariesOf(views: readonly NodeView[]): readonly NodeView[] {
  return views.filter(({ self }) => self.primary === undefined)
}
