/**
 * What networks and clocks do to clients and servers, for tests: proxies that delay, hold, lose, refuse and reset; clocks that
 * are off; and whether a lock kept its word meanwhile.
 *
 * @module
 */
export type { Endpoint } from '../../redis/link.js'
export type { LoseRepliesOptions, ProxyStats } from './fault-proxy.js'
export { FaultProxy } from './fault-proxy.js'
export type { Direction } from './flow.js'
export type {
  LockCall,
  LockEnd,
  LockEvent,
  LockExtension,
  LockGrant,
  LockWrite,
  RecordedHold,
  RecordedLock,
} from './lock-events.js'
export { LockRecorder } from './lock-events.js'
export type { LockHistoryOptions, LockVerdict, LockViolation, LockViolationKind } from './lock-history.js'
export { checkLockHistory } from './lock-history.js'
export type { ProxiedNodes } from './proxied.js'
export { proxied } from './proxied.js'
export type { SkewedServers } from './skewed.js'
export { skewed } from './skewed.js'
