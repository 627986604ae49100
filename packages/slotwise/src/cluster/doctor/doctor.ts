import { integer } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { agreement } from './agreement.js'
import { coverage } from './coverage.js'
import { checkedUsage, type Finding, type Found, judged, type Usage } from './finding.js'
import { members } from './members.js'
import type { Observed } from './observation.js'
import { NOTHING_MORE, observe } from './observe.js'
import { privileges } from './privileges.js'
import { quorum } from './quorum.js'
import { fullSyncs, replication } from './replication.js'
import { writes } from './writes.js'

/** Settings of {@link doctor}. */
export interface DoctorOptions {
  /** What the cluster is used for, which decides what is a fault. @defaultValue everything */
  readonly usage?: readonly Usage[] | undefined
  /** Bound on each node's answers. @defaultValue `2000` */
  readonly timeoutMs?: number | undefined
  /** Gives up. */
  readonly signal?: AbortSignal | undefined
}

/** One family of checks each, over the same observations. */
const CHECKS: readonly ((seen: Observed) => readonly Found[])[] = [
  coverage,
  members,
  agreement,
  quorum,
  replication,
  fullSyncs,
  writes,
  privileges,
]

/**
 * What is wrong with a cluster, or will be: every node is asked, all at once, each within its own deadline, and what they say
 * is judged by what the cluster is used for. The worst findings come first. A cluster that has just been started by
 * `startLocalCluster` has none.
 *
 * Nothing is written. It never changes a setting, and never moves or removes anything of yours.
 *
 * Not guaranteed: that no finding means no fault. It is one look, from one process; counters reach back to the last
 * restart; keys are sampled; what it was not allowed to see is a finding of severity `info`. What only matters to other
 * machines (hosts, open ports, plain text, persistence) is not judged where a node takes connections from its own machine
 * only.
 *
 * @throws ConfigurationError for a wrong option
 * @throws ClosedError when the port is closed. Nodes that fail are findings, never errors
 *
 * @example
 * ```ts
 * import { doctor } from 'slotwise/cluster'
 * import { connect } from 'slotwise/ioredis'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * for (const { severity, id, evidence, fix } of await doctor(redis, { usage: ['locks'] })) {
 *   console.log(`${severity} ${id}: ${evidence}\n  ${fix}`)
 * }
 * ```
 */
export async function doctor(port: RedisPort, options: DoctorOptions = {}): Promise<readonly Finding[]> {
  const usage = checkedUsage(options.usage)
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 2000)
  const seen = await observe(port, { usage, timeoutMs, signal: options.signal }, NOTHING_MORE)
  return judged(
    CHECKS.flatMap((check) => check(seen)),
    usage,
  )
}
