import { SLOTS } from '../slots.js'
import type { ClusterNode, Topology, TopologyChange } from './port.js'
import { changesBetween } from './topology-change.js'

/** One line of CLUSTER NODES. */
export interface NodeView extends ClusterNode {
  readonly failed: boolean
  /** It speaks of itself. */
  readonly isSelf: boolean
  readonly slots: readonly (readonly [from: number, to: number])[]
}

/**
 * Reads CLUSTER NODES as `host` tells it. A node that never met another does not know its own address, and a
 * node behind an unknown endpoint shows none: both are then reached where they were asked.
 *
 * @see {@link https://redis.io/docs/latest/commands/cluster-nodes/}
 */
export function readClusterNodes(text: string, host: string): readonly NodeView[] {
  const views: NodeView[] = []
  for (const line of text.split('\n')) {
    const [id, address, flagText, primary, , , epoch, , ...ranges] = line.trim().split(' ')
    if (id === undefined || address === undefined || flagText === undefined) continue
    const flags = flagText.split(',')
    if (flags.includes('handshake') || flags.includes('noaddr')) continue
    const [endpoint = '', hostname = ''] = address.split(',')
    const at = /^(.*):(\d+)(?:@\d+)?$/.exec(endpoint)
    if (at === null) continue
    views.push({
      id,
      host: at[1] || hostname || host,
      port: Number(at[2]),
      role: flags.includes('master') ? 'primary' : 'replica',
      primary: primary === undefined || primary === '-' ? undefined : primary,
      epoch: Number(epoch),
      failed: flags.includes('fail'),
      isSelf: flags.includes('myself'),
      // A range in brackets is a slot on its way: its owner is the one that lists it without.
      slots: ranges.filter((range) => /^\d/.test(range)).map(readRange),
    })
  }
  return views
}

function readRange(range: string): readonly [number, number] {
  const [from, to = from] = range.split('-').map(Number)
  return [from ?? 0, to ?? 0]
}

/**
 * Who owns what, from the views of several nodes. Where they differ the higher configuration epoch is right: that
 * is the cluster's own rule, and it keeps a node that was cut off from overruling those that elected another.
 */
export function mergeViews(views: readonly (readonly NodeView[])[]): {
  readonly nodes: readonly ClusterNode[]
  readonly owners: readonly (ClusterNode | undefined)[]
} {
  const latest = new Map<string, NodeView>()
  for (const view of views.flat()) {
    const known = latest.get(view.id)
    // A node knows first what it owns itself.
    const isNewer = known === undefined || view.epoch > known.epoch
    if (isNewer || (view.epoch === known.epoch && view.isSelf)) latest.set(view.id, view)
  }
  const nodes = new Map<string, ClusterNode>()
  for (const { id, host, port, role, primary, epoch } of latest.values()) {
    nodes.set(id, { id, host, port, role, epoch, ...(primary === undefined ? {} : { primary }) })
  }
  const owners = Array.from<ClusterNode | undefined>({ length: SLOTS })
  const claims = [...latest.values()]
    .filter(({ role }) => role === 'primary')
    // Of equal ones neither counts more to the cluster; one that others have given up serves nobody.
    .toSorted((a, b) => a.epoch - b.epoch || Number(b.failed) - Number(a.failed))
  for (const { id, slots } of claims) {
    for (const [from, to] of slots) owners.fill(nodes.get(id), from, to + 1)
  }
  return { nodes: [...nodes.values()], owners }
}

/**
 * Primaries that others have given up while one of their replicas lives: it is being elected, or has been and not
 * everybody knows. Without a replica nobody can be.
 */
export function beingReplaced(views: readonly (readonly NodeView[])[]): readonly ClusterNode[] {
  return views.flatMap((view) =>
    view.filter(
      ({ id, role, failed }) =>
        role === 'primary' && failed && view.some((node) => node.primary === id && !node.failed),
    ),
  )
}

/** The table as it stands, changed only as a whole or by one redirection. */
export class SlotTable implements Topology {
  #version = 0
  #nodes: readonly ClusterNode[] = []
  #owners: (ClusterNode | undefined)[] = []
  /**
   * Ids of primaries in whose place a replica was elected. Until they have heard of it, everybody lists them as primaries without
   * slots, like those that slots are about to be moved to.
   */
  #replaced: ReadonlySet<string> = new Set()
  readonly isBySentinels: boolean

  constructor({ isBySentinels = false }: { readonly isBySentinels?: boolean | undefined } = {}) {
    this.isBySentinels = isBySentinels
  }

  get version(): number {
    return this.#version
  }

  get nodes(): readonly ClusterNode[] {
    return this.#nodes
  }

  ownerOf(slot: number): ClusterNode | undefined {
    return this.#owners[slot]
  }

  replicasOf(primary: string): readonly ClusterNode[] {
    return this.#nodes.filter((node) => node.primary === primary)
  }

  /** Takes a whole table; tells what is different, or nothing where all is the same. */
  replace({ nodes, owners }: ReturnType<typeof mergeViews>): readonly TopologyChange[] | undefined {
    const same =
      sameNodes(nodes, this.#nodes) &&
      owners.length === this.#owners.length &&
      owners.every((owner, slot) => owner?.id === this.#owners[slot]?.id)
    if (same) return undefined
    const changes = changesBetween({ nodes: this.#nodes, owners: this.#owners }, { nodes, owners })
    this.#replaced = this.#replacedIn(nodes, owners)
    this.#nodes = nodes
    this.#owners = [...owners]
    this.#version++
    return changes
  }

  /** Whether it is a replica, or a primary in whose place one was elected. */
  isReplaced(node: ClusterNode): boolean {
    return node.role === 'replica' || this.#replaced.has(node.id)
  }

  #replacedIn(
    nodes: readonly ClusterNode[],
    owners: readonly (ClusterNode | undefined)[],
  ): ReadonlySet<string> {
    const serving = new Set(owners.map((owner) => owner?.id))
    const replaced = new Set(this.#replaced)
    for (const before of this.#nodes) {
      if (before.primary !== undefined && serving.has(before.id)) replaced.add(before.primary)
    }
    // They have heard of it, or are what they were.
    const isOver = ({ id, role }: ClusterNode) => role === 'replica' || serving.has(id)
    const present = new Map(nodes.map((node) => [node.id, node]))
    return new Set(
      [...replaced].filter((id) => {
        const node = present.get(id)
        return node !== undefined && !isOver(node)
      }),
    )
  }

  /**
   * Believes a MOVED until the next whole table: the node that sent it knows better than we do. In place, since a failover may
   * move thousands of slots so, one by one.
   *
   * @returns who had it, unless that is the same
   */
  move(slot: number, owner: ClusterNode): { readonly from: ClusterNode | undefined } | undefined {
    const from = this.#owners[slot]
    if (from?.host === owner.host && from.port === owner.port) return undefined
    this.#owners[slot] = owner
    this.#version++
    return { from }
  }
}

function sameNodes(a: readonly ClusterNode[], b: readonly ClusterNode[]): boolean {
  if (a.length !== b.length) return false
  const describe = (node: ClusterNode) =>
    `${node.id} ${node.host} ${node.port} ${node.role} ${node.primary ?? ''} ${node.epoch}`
  const known = new Set(b.map(describe))
  return a.every((node) => known.has(describe(node)))
}
