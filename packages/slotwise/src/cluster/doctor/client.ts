import type { PortSetup } from '../../redis/port.js'
import type { Examined } from './examine.js'
import { type Found, found } from './finding.js'
import { medianRtt } from './network.js'
import { figure } from './observation.js'

/** What Redis ships with is 15 s; slower than this a client may learn of an election after the next one. */
const SLOW_REFRESH_MS = 15_000
/** A call that may take this long outlives the request that it is for. */
const LONG_TIMEOUT_MS = 30_000
/** Fewer round trips than this leave no time for a redirection and a repeat. */
const ROUND_TRIPS = 5

/** Do the settings of this client fit the cluster? */
export function client(seen: Examined, setup: PortSetup | undefined): Found[] {
  if (setup === undefined) return []
  const { commandTimeoutMs, topologyRefreshMs } = setup
  const rtts = seen.nodes.flatMap((node) => medianRtt(node) ?? [])
  const slowest = Math.max(0, ...rtts)
  const timeouts = seen.nodes.flatMap(({ config }) => figure(config, 'cluster-node-timeout') ?? [])
  const refreshBound = Math.max(SLOW_REFRESH_MS, ...timeouts)
  return [
    ...(topologyRefreshMs > refreshBound
      ? [
          found(
            'client-refresh-slow',
            undefined,
            `topologyRefreshMs is ${topologyRefreshMs}, above ${refreshBound}`,
          ),
        ]
      : []),
    ...(commandTimeoutMs < slowest * ROUND_TRIPS
      ? [
          found(
            'client-timeout-short',
            undefined,
            `commandTimeoutMs is ${commandTimeoutMs}, and a round trip takes up to ${slowest.toFixed(1)} ms`,
          ),
        ]
      : []),
    ...(commandTimeoutMs > LONG_TIMEOUT_MS
      ? [found('client-timeout-long', undefined, `commandTimeoutMs is ${commandTimeoutMs}`)]
      : []),
  ]
}
