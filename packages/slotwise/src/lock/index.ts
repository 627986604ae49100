/**
 * Locks in one slot of a cluster, or of a majority of independent nodes, with fencing tokens and a handle that knows its deadline;
 * locks for many who read and one who writes, semaphores, elections, and what is run once.
 *
 * @module
 */

export type { PostgresClient, PostgresPool } from '../postgres.js'
export type {
  ForcedRelease,
  ListLocksOptions,
  ListProgress,
  LockAdminOptions,
  LockList,
  LockReport,
  ResourceOptions,
} from './admin.js'
export { LockAdmin } from './admin.js'
export {
  type CampaignOptions,
  type ElectionEvent,
  Elections,
  type ElectionsOptions,
  type Leader,
  type Leadership,
} from './elections.js'
export type { FencedTransactionOptions, TransactionClient } from './fenced-transaction.js'
export { fencedTransaction, fencesSql } from './fenced-transaction.js'
export type { FencedChange, FencedChangeOptions, FencedValuesOptions } from './fenced-values.js'
export { FencedValues } from './fenced-values.js'
export type { Lock } from './lock.js'
export type { LockSet } from './lock-set.js'
export { Locks } from './locks.js'
export type { RenewMarkersOptions, SettleMarkersOptions } from './markers.js'
export { lockNamespaces, renewMarkers, settleMarkers } from './markers.js'
export {
  Once,
  type OnceOptions,
  type OnceStatus,
  type ResultSerializer,
  type Run,
  type RunOptions,
} from './once.js'
export type {
  AcquireOptions,
  Acquisition,
  LocksOptions,
  RedlockOptions,
  ShareOptions,
  TryAcquireOptions,
  TryShareOptions,
} from './options.js'
export { ReadWriteLock } from './read-write.js'
export { Semaphore, type SemaphoreOptions } from './semaphore.js'
