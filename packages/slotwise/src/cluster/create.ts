import type { ConnectionOptions } from 'node:tls'
import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'
import { addressOf } from '../redis/address.js'
import type { Endpoint } from '../redis/link.js'
import { type Converged, converge } from './converge.js'
import { join, parseAddress } from './observe.js'
import type { NodeView, SlotRange } from './view.js'

/** Settings of {@link createCluster}. */
export interface CreateClusterOptions {
  /** All nodes, `'host:port'` each, in any order. */
  readonly nodes: readonly string[]
  /** `nodes.length / (replicasPerPrimary + 1)` nodes become primaries; at least three are needed. */
  readonly replicasPerPrimary: number
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `true` for TLS with the system's authorities. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /**
   * Where this process reaches a node, for who is not in the network of the nodes. These then meet each other at the
   * addresses in `nodes`, which must be numbers where their names mean nothing here.
   */
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
  /**
   * Bound on the whole, in milliseconds.
   *
   * @defaultValue `30000`
   */
  readonly timeoutMs?: number | undefined
  /** Hears of each step, one clause each. */
  readonly onProgress?: ((step: string) => void) | undefined
  /** Stops between two steps; what was done stays, and the next run goes on from there. */
  readonly signal?: AbortSignal | undefined
}

/** The cluster as all its nodes see it, and what was done to get there. */
export interface CreatedCluster {
  /** Whether anything had to be done. */
  readonly changed: boolean
  readonly done: {
    /** Introductions of one node to another. */
    readonly met: number
    readonly slotsAssigned: number
    readonly replicasAttached: number
  }
  readonly primaries: readonly CreatedPrimary[]
  readonly replicas: readonly CreatedReplica[]
}

/** A primary and its slots. */
export interface CreatedPrimary {
  readonly id: string
  readonly host: string
  readonly port: number
  /** First and last slot of each run. */
  readonly slots: readonly SlotRange[]
}

/** A replica and whom it follows. */
export interface CreatedReplica {
  readonly id: string
  readonly host: string
  readonly port: number
  /** Id of its primary. */
  readonly primary: string
}

/**
 * Makes one cluster of the nodes given, or finishes one that was begun.
 *
 * Resolves when every node agrees on all 16,384 slots, every replica is linked and every node accepts commands.
 * Safe to run again: nothing is changed in a whole cluster, a half-made one is finished wherever it stopped, and
 * nodes whose addresses have changed are introduced anew. Slots are shared equally and never moved; replicas are
 * spread over primaries, on another host than their primary's where there is one.
 *
 * Not safe for two runs **at the same time** with the nodes in a different order, which may give a slot to two nodes;
 * they settle it among themselves, but shares may then be uneven.
 *
 * @example
 * ```ts
 * import { createCluster } from 'slotwise/cluster'
 *
 * const { primaries, changed } = await createCluster({
 *   nodes: ['10.0.0.1:6379', '10.0.0.2:6379', '10.0.0.3:6379', '10.0.0.4:6379', '10.0.0.5:6379', '10.0.0.6:6379'],
 *   replicasPerPrimary: 1,
 *   onProgress: (step) => console.log(step),
 * })
 * console.log(changed ? 'created' : 'was whole already', primaries.length)
 * ```
 *
 * @throws ForeignClusterError a node belongs to another cluster or holds data; nothing was changed
 * @throws ConfigurationError a setting is wrong, a password is, or a server is standalone or older than 7.0
 * @throws RedisUnavailableError a node cannot be reached, or the nodes do not become one cluster in time
 * @throws UnexpectedReplyError a node is not Redis
 */
export async function createCluster(options: CreateClusterOptions): Promise<CreatedCluster> {
  const { timeoutMs, primaries, addresses } = check(options)
  const deadline = performance.now() + timeoutMs
  const { onProgress, signal, username, password, tls, endpointMap } = options
  onProgress?.(`connecting to ${addresses.length} nodes`)
  const access = { username, password, tls, endpointMap, signal, timeoutMs: Math.min(timeoutMs, 5000) }
  const joined = await Promise.allSettled(addresses.map((address) => join(address, access)))
  const members = joined.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  try {
    for (const result of joined) if (result.status === 'rejected') throw result.reason
    return describe(await converge(members, { primaries, deadline, onProgress, signal }))
  } finally {
    for (const { client } of members) client.close()
  }
}

function check({ nodes, replicasPerPrimary, timeoutMs = 30_000 }: CreateClusterOptions): {
  readonly timeoutMs: number
  readonly primaries: number
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
} {
  if (!Array.isArray(nodes)) {
    throw new ConfigurationError(`nodes must be a list of 'host:port', got ${shown(nodes)}`)
  }
  integer('replicasPerPrimary', replicasPerPrimary, { min: 0 })
  integer('timeoutMs', timeoutMs)
  const addresses = nodes.map(parseAddress)
  const names = addresses.map(addressOf)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new ConfigurationError(`nodes names ${twice} twice`)
  const primaries = addresses.length / (replicasPerPrimary + 1)
  if (!Number.isInteger(primaries) || primaries < 3) {
    throw new ConfigurationError(
      `with ${replicasPerPrimary} replicas to a primary, nodes must number ${(replicasPerPrimary + 1) * 3} or another multiple of ${replicasPerPrimary + 1} above that (three primaries are the least that can vote), got ${addresses.length}`,
    )
  }
  return { timeoutMs, primaries, addresses }
}

function describe({ views, done }: Converged): CreatedCluster {
  const place = ({ self, host, port }: NodeView) => ({ id: self.id, host, port })
  return {
    changed: done.met + done.slotsAssigned + done.replicasAttached > 0,
    done,
    primaries: views
      .filter(({ self }) => self.primary === undefined)
      .map((view) => ({ ...place(view), slots: view.self.slots })),
    replicas: views.flatMap((view) =>
      view.self.primary === undefined ? [] : [{ ...place(view), primary: view.self.primary }],
    ),
  }
}
