import { integer } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { agreement } from './agreement.js'
import { balance } from './balance.js'
import { bigKeys } from './big-keys.js'
import { client } from './client.js'
import { clocks } from './clocks.js'
import { coverage } from './coverage.js'
import { type Examined, examination } from './examine.js'
import { checkedUsage, type Finding, type Found, judged, type Usage } from './finding.js'
import { members } from './members.js'
import { memory } from './memory.js'
import { network } from './network.js'
import { observe } from './observe.js'
import { persistence } from './persistence.js'
import { privileges } from './privileges.js'
import { probe } from './probes.js'
import { quorum } from './quorum.js'
import { fullSyncs, replication } from './replication.js'
import { security } from './security.js'
import { writes } from './writes.js'

/** Settings of {@link doctor}. */
export interface DoctorOptions {
  /** What the cluster is used for, which decides what is a fault. @defaultValue everything */
  readonly usage?: readonly Usage[] | undefined
  /**
   * Also tries every primary as a client would: writes a key of its own, reads it and sees it expire, and hears
   * on a sharded channel of its own what it publishes there.
   *
   * @defaultValue `false`: nothing is written
   */
  readonly active?: boolean | undefined
  /** Bound on each node's answers; the active probes have as much again. @defaultValue `2000` */
  readonly timeoutMs?: number | undefined
  /** How much memory a key may take. @defaultValue `10485760`, 10 MiB */
  readonly bigKeyBytes?: number | undefined
  /** How many keys of each primary are weighed; 0 for none. @defaultValue `100` */
  readonly sampledKeys?: number | undefined
  /** Gives up. */
  readonly signal?: AbortSignal | undefined
}

/** One family of checks each, over the same observations. */
const CHECKS: readonly ((seen: Examined) => readonly Found[])[] = [
  coverage,
  members,
  agreement,
  quorum,
  replication,
  fullSyncs,
  writes,
  memory,
  persistence,
  security,
  clocks,
  balance,
  bigKeys,
  privileges,
]

/**
 * What is wrong with a cluster, or will be: every node is asked, all at once, each within its own deadline, and what they say
 * is judged by what the cluster is used for. The worst findings come first. A cluster that has just been started by
 * `startLocalCluster` has none.
 *
 * Without `active` nothing is written. It never changes a setting, and never moves or removes anything of yours.
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
 * for (const { severity, id, evidence, fix } of await doctor(redis, { usage: ['locks'], active: true })) {
 *   console.log(`${severity} ${id}: ${evidence}\n  ${fix}`)
 * }
 * ```
 */
export async function doctor(port: RedisPort, options: DoctorOptions = {}): Promise<readonly Finding[]> {
  const usage = checkedUsage(options.usage)
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 2000)
  const bigKeyBytes = integer('bigKeyBytes', options.bigKeyBytes ?? 10 * 2 ** 20)
  const sampledKeys = integer('sampledKeys', options.sampledKeys ?? 100, { min: 0, max: 10_000 })
  const { signal, active = false } = options
  const depth = { timeoutMs, bigKeyBytes, sampledKeys }
  const seen = await observe(port, { usage, timeoutMs, signal }, examination(port, depth))
  const found = [
    ...CHECKS.flatMap((check) => check(seen)),
    ...network(seen, { isMapKnown: port.setup !== undefined }),
    ...client(seen, port.setup),
    ...(active ? await probe(port, seen, { timeoutMs, signal }) : []),
  ]
  return judged(found, usage)
}
