/**
 * Locks in one slot of a cluster, with fencing tokens and a handle that knows its deadline.
 *
 * @module
 */
export type { Lock } from './lock.js'
export type { AcquireOptions, Acquisition, LocksOptions, TryAcquireOptions } from './locks.js'
export { Locks } from './locks.js'
