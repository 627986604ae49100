import type { ConnectOptions } from './connect-options.js'

/**
 * Settings for a service under load, to be spread into those of `connect`. What each means in Node, where one process
 * is one thread and shares one connection a node among all its calls:
 *
 * - `connectionsPerNode`: only what cannot share that connection borrows one of these, so a hundred is a bound for the
 *   worst moment and not a pool that every call passes through. Ten are kept open for the first ones.
 * - `connectTimeoutMs`, `commandTimeoutMs`: reading and writing are one time-out, that of an attempt.
 * - `poolTimeoutMs`: a second longer than a command may take, so that whoever waits outlasts one that hangs.
 * - `idleTimeoutMs`, `idleCheckMs`: below what firewalls and load balancers usually forget a connection after.
 * - `maxRetries`, `retryBackoffMs`: for lost connections and time-outs, with full jitter. What a server refused to
 *   execute is repeated until the deadline of the call and is not counted.
 * - `readFrom`: the node that answers fastest, for calls with `mayBeStale` and no others.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { PRODUCTION } from 'slotwise/redis'
 *
 * await using redis = await connect({
 *   ...PRODUCTION,
 *   nodes: ['redis-node-1:7000', 'redis-node-2:7001', 'redis-node-3:7002'],
 *   password: process.env['REDIS_PASSWORD'],
 *   namespace: 'comments',
 * })
 * ```
 */
export const PRODUCTION = {
  connectionsPerNode: { min: 10, max: 100 },
  connectTimeoutMs: 5000,
  commandTimeoutMs: 3000,
  poolTimeoutMs: 4000,
  idleTimeoutMs: 300_000,
  idleCheckMs: 60_000,
  maxRetries: 3,
  retryBackoffMs: { min: 8, max: 512 },
  readFrom: 'nearest',
} as const satisfies Omit<ConnectOptions, 'nodes'>
