/**
 * Locks in one slot of a cluster, with fencing tokens and a handle that knows its deadline.
 *
 * @module
 */
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
export type { Lock } from './lock.js'
export type { LockSet } from './lock-set.js'
export { Locks } from './locks.js'
export type { RenewMarkersOptions } from './markers.js'
export { lockNamespaces, renewMarkers } from './markers.js'
export type { AcquireOptions, Acquisition, LocksOptions, TryAcquireOptions } from './options.js'
