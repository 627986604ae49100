import { integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { SLOTS } from '../slots.js'
import { coverage, unservedSlots } from './doctor/coverage.js'
import { checkedUsage, type Finding, judged, type Usage } from './doctor/finding.js'
import type { NodeState } from './doctor/interview.js'
import { members } from './doctor/members.js'
import { type Observed } from './doctor/observation.js'
import { NOTHING_MORE, observe } from './doctor/observe.js'
import { privileges } from './doctor/privileges.js'
import { lagOf, replication } from './doctor/replication.js'
import { rangesOf } from './doctor/slot-map.js'
import { writes } from './doctor/writes.js'
import type { SlotRange } from './view.js'

/** Settings of {@link healthCheck}. */
export interface HealthOptions {
  /** What the cluster is used for. @defaultValue everything */
  readonly usage?: readonly Usage[] | undefined
  /** Bound on each node's answers, and so, since all are asked at once, on the whole. @defaultValue `1000` */
  readonly timeoutMs?: number | undefined
  /** Gives up. */
  readonly signal?: AbortSignal | undefined
}

/** How a cluster is, for load balancers and for people. Plain data. */
export interface ClusterHealth {
  /**
   * `down`: something is not served that the usages need. `degraded`: all is served, but one more fault, or the one
   * that is there, may end that. `ok`: neither.
   */
  readonly status: 'ok' | 'degraded' | 'down'
  readonly nodes: readonly NodeHealth[]
  readonly slots: {
    /** Slots whose owner answers, owns them by its own account, and accepts commands. */
    readonly served: number
    readonly unserved: readonly SlotRange[]
  }
  /** The same findings, with the same ids, as `doctor` has. */
  readonly findings: readonly Finding[]
}

/** One node, as this process saw it. */
export interface NodeHealth {
  readonly id: string
  /** `host:port` */
  readonly node: string
  readonly role: 'primary' | 'replica'
  readonly state: NodeState
  /** Why it is not at work. */
  readonly reason?: string
  /** Until its first answer. */
  readonly latencyMs?: number
  /** How far a replica is behind its primary. */
  readonly lagBytes?: number
}

/**
 * Is everything served, and would it survive one more fault? Every node is asked at once, each with its own deadline,
 * so a node that hangs costs one deadline and hides nothing. A `PONG` and `cluster_state:ok` prove nothing: each slot
 * must have an owner that answers, that owns it by its own account, and that takes commands and writes.
 *
 * For a usage that keeps state, one slot that is not served is `down`. For a `cache` alone, which goes to its loader, it is
 * `degraded`, and `down` only when nothing is served.
 *
 * Not guaranteed: that a write succeeds (the active probes of `doctor` try one), nor that the next second is like
 * this one. It looks from this process: a node that only others cannot reach is told by what the nodes say.
 * A server without a cluster is judged for itself, without redundancy.
 *
 * @throws ConfigurationError for a wrong option
 * @throws ClosedError when the port is closed. Nodes that fail are findings, never errors
 *
 * @example
 * ```ts
 * import { healthCheck } from 'slotwise/cluster'
 * import { connect } from 'slotwise/ioredis'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const { status, findings } = await healthCheck(redis, { usage: ['locks', 'cache'], timeoutMs: 500 })
 * console.log(status, findings.map(({ id, evidence }) => `${id}: ${evidence}`))
 * ```
 */
export async function healthCheck(port: RedisPort, options: HealthOptions = {}): Promise<ClusterHealth> {
  const usage = checkedUsage(options.usage)
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 1000)
  const seen = await observe(port, { usage, timeoutMs, signal: options.signal }, NOTHING_MORE)
  const unserved = unservedSlots(seen)
  const findings = judged(
    [coverage, members, replication, writes, privileges].flatMap((check) => check(seen)),
    usage,
  )
  return {
    status: statusOf(findings),
    nodes: nodesOf(seen),
    slots: { served: SLOTS - unserved.size, unserved: rangesOf(unserved.keys()) },
    findings,
  }
}

/** Of these checks, what is critical is not served, and what is a warning may be next. */
function statusOf(findings: readonly Finding[]): ClusterHealth['status'] {
  const has = (severity: Finding['severity']) => findings.some((finding) => finding.severity === severity)
  return has('critical') ? 'down' : has('warning') ? 'degraded' : 'ok'
}

function nodesOf(seen: Observed): readonly NodeHealth[] {
  return seen.nodes.map((node) => {
    const { id, name, role, state, reason, latencyMs } = node
    const lagBytes = lagOf(node, seen)
    return {
      id,
      node: name,
      role,
      state,
      ...(state === 'answers' || reason === undefined ? {} : { reason }),
      ...(latencyMs === undefined ? {} : { latencyMs: Math.round(latencyMs * 1000) / 1000 }),
      ...(lagBytes === undefined ? {} : { lagBytes }),
    }
  })
}
