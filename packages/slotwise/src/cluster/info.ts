import { RedisUnavailableError } from '../errors.js'
import { integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { USAGES } from './doctor/finding.js'
import { figure, listed, type NodeObservation, type Observed } from './doctor/observation.js'
import { NOTHING_MORE, observe } from './doctor/observe.js'
import { lagOf } from './doctor/replication.js'
import { rangesOf } from './doctor/slot-map.js'
import type { NodeLine, OpenSlot, SlotRange } from './view.js'

/** Settings of {@link clusterInfo}. */
export interface InfoOptions {
  /** Bound on each node's answers, and so, since all are asked at once, on the whole. @defaultValue `1000` */
  readonly timeoutMs?: number | undefined
  /** Gives up. */
  readonly signal?: AbortSignal | undefined
}

/** A cluster as its nodes tell it. Plain data. */
export interface ClusterInfo {
  /** `fail` when any node that answers says so. That it is `ok` does not mean that all is served: `healthCheck` tells. */
  readonly state: 'ok' | 'fail'
  /** The highest that any node knows. */
  readonly currentEpoch: number
  readonly slots: {
    /** Slots with an owner; below, the worst that any node says. */
    readonly assigned: number
    readonly ok: number
    readonly pfail: number
    readonly fail: number
    /** Slots on their way, each end by itself. */
    readonly open: readonly (OpenSlot & { readonly node: string })[]
  }
  readonly nodes: readonly NodeInfo[]
}

/** What is known of a node whether it answers or not. */
interface KnownNode {
  readonly id: string
  /** `host:port`, as the cluster announces it. */
  readonly address: string
  readonly role: 'primary' | 'replica'
  /** Id of the primary that a replica follows. */
  readonly primary?: string
  readonly slots: readonly SlotRange[]
  readonly configEpoch: number
  /** How other nodes see it; `failing` is one node's suspicion, `failed` what the cluster has agreed on. */
  readonly link: 'connected' | 'disconnected' | 'failing' | 'failed'
}

/** A node that answered. A figure that the user may not see (no right to INFO) is left out. */
export interface AnsweringNode extends KnownNode {
  readonly answered: true
  readonly version?: string
  /** Keys that it holds. */
  readonly keys?: number
  readonly opsPerSecond?: number
  readonly memory?: {
    readonly usedBytes: number
    /** 0 for no limit. */
    readonly maxBytes: number
    readonly policy: string
  }
  readonly replication?: {
    /** How far it has written, or read. */
    readonly offset: number
    /** A replica's link to its primary. */
    readonly link?: 'up' | 'down'
    /** How many bytes a replica is behind. */
    readonly lagBytes?: number
    /** Replicas that are linked to a primary. */
    readonly replicas?: number
  }
}

/** A node that did not answer in time, with what the others know of it. */
export interface SilentNode extends KnownNode {
  readonly answered: false
  readonly reason: string
}

export type NodeInfo = AnsweringNode | SilentNode

/**
 * What the nodes of a cluster say of themselves and of each other. All are asked at once, each with its own deadline.
 * Where they differ, the higher configuration epoch is believed, which is the cluster's own rule; that they
 * differ is for `doctor` to say. A moment's picture: the nodes were not asked in the same instant.
 *
 * @throws RedisUnavailableError when no node answers
 * @throws ClosedError when the port is closed
 *
 * @example
 * ```ts
 * import { clusterInfo } from 'slotwise/cluster'
 * import { connect } from 'slotwise/ioredis'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const { nodes } = await clusterInfo(redis)
 * for (const node of nodes) console.log(node.address, node.role, node.answered ? node.keys : node.reason)
 * ```
 */
export async function clusterInfo(port: RedisPort, options: InfoOptions = {}): Promise<ClusterInfo> {
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 1000)
  const seen = await observe(port, { usage: USAGES, timeoutMs, signal: options.signal }, NOTHING_MORE)
  const telling = seen.nodes.filter(({ view }) => view.length > 0)
  if (telling.length === 0) {
    const reasons = seen.nodes.map(({ name, reason }) => `${name}: ${reason ?? 'no answer in time'}`)
    throw new RedisUnavailableError(`no node tells of the cluster: ${listed(reasons)}`)
  }
  const all = (name: string) => telling.flatMap(({ cluster }) => figure(cluster, name) ?? [])
  const assigned = seen.map.owners.filter((owner) => owner !== undefined).length
  return {
    state: telling.some(({ cluster }) => cluster.get('cluster_state') === 'fail') ? 'fail' : 'ok',
    currentEpoch: Math.max(0, ...all('cluster_current_epoch')),
    slots: {
      assigned,
      ok: Math.min(assigned, ...all('cluster_slots_ok')),
      pfail: Math.max(0, ...all('cluster_slots_pfail')),
      fail: Math.max(0, ...all('cluster_slots_fail')),
      open: telling.flatMap(({ id, name, view }) => {
        const own = view.find((line) => line.id === id)
        return (own?.open ?? []).map((slot) => ({ ...slot, node: name }))
      }),
    },
    nodes: seen.nodes.map((node) => infoOf(node, seen)),
  }
}

function infoOf(node: NodeObservation, seen: Observed): NodeInfo {
  const { id, name, role, primary, state, reason } = node
  const lines = seen.nodes.flatMap(({ view }) => view.filter((line) => line.id === id))
  const slots = rangesOf(seen.map.owners.flatMap((owner, slot) => (owner === id ? [slot] : [])))
  const known: KnownNode = {
    id,
    address: name,
    role,
    ...(primary === undefined ? {} : { primary }),
    slots,
    configEpoch: Math.max(0, ...lines.map(({ epoch }) => epoch)),
    link: linkOf(lines),
  }
  if (state === 'silent') return { ...known, answered: false, reason: reason ?? 'no answer in time' }
  return { ...known, answered: true, ...figuresOf(node, seen) }
}

function linkOf(lines: readonly NodeLine[]): KnownNode['link'] {
  const flagged = (flag: string) => lines.some(({ flags }) => flags.includes(flag))
  if (flagged('fail')) return 'failed'
  if (flagged('fail?')) return 'failing'
  return lines.every(({ connected }) => connected) ? 'connected' : 'disconnected'
}

function figuresOf(node: NodeObservation, seen: Observed): Partial<AnsweringNode> {
  const { info } = node
  const version = info.get('redis_version')
  if (version === undefined) return {}
  const offset = figure(info, node.role === 'replica' ? 'slave_repl_offset' : 'master_repl_offset')
  const lagBytes = lagOf(node, seen)
  const link = info.get('master_link_status') === 'up' ? 'up' : 'down'
  return {
    version,
    // A database without keys has no line.
    keys: Number(/^keys=(\d+)/.exec(info.get('db0') ?? '')?.[1] ?? 0),
    opsPerSecond: figure(info, 'instantaneous_ops_per_sec') ?? 0,
    memory: {
      usedBytes: figure(info, 'used_memory') ?? 0,
      maxBytes: figure(info, 'maxmemory') ?? 0,
      policy: info.get('maxmemory_policy') ?? 'noeviction',
    },
    replication: {
      offset: offset ?? 0,
      ...(node.role === 'replica' ? { link } : { replicas: figure(info, 'connected_slaves') ?? 0 }),
      ...(lagBytes === undefined ? {} : { lagBytes }),
    },
  }
}
