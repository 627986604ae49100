/**
 * Locks in one slot of a cluster, or of a majority of independent nodes, with fencing tokens and a handle that knows its deadline.
 *
 * @module
 */
export type { PostgresClient, PostgresPool } from '../postgres.js'
export type { FencedTransactionOptions, TransactionClient } from './fenced-transaction.js'
export { fencedTransaction, fencesSql } from './fenced-transaction.js'
export type { FencedChange, FencedChangeOptions, FencedValuesOptions } from './fenced-values.js'
export { FencedValues } from './fenced-values.js'
export type { Lock } from './lock.js'
export type { LockSet } from './lock-set.js'
export { Locks } from './locks.js'
export { renewMarkers } from './markers.js'
export type {
  AcquireOptions,
  Acquisition,
  LocksOptions,
  RedlockOptions,
  TryAcquireOptions,
} from './options.js'
