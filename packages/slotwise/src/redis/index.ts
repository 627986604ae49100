/**
 * The port: what a pattern may ask of Redis, and how a script is called by names.
 *
 * @module
 */
export type { Key, KeySpace, KeyWords, ReadKey } from '../keys.js'
export { keyOf, readKey } from '../keys.js'
export { SLOTS, slotOf } from '../slots.js'
export type {
  ConnectionBounds,
  ConnectOptions,
  Mode,
  ReadFrom,
  SentinelOptions,
} from './connect-options.js'
export type { Credentials } from './credentials.js'
export type { Endpoint } from './link.js'
export type {
  Argument,
  BorrowedConnection,
  BorrowTarget,
  BreakerState,
  ClusterNode,
  CommandCall,
  PortCallOptions,
  PortSetup,
  PortStats,
  RedisPort,
  Repeat,
  Reply,
  ScriptCall,
  ShardListener,
  ShardSubscription,
  Topology,
  TopologyChange,
  Waited,
  WriteThenWaitOptions,
} from './port.js'
export { PRODUCTION } from './production.js'
export type { Backoff } from './retry.js'
export type { Script, ScriptSource } from './script.js'
export { defineScript } from './script.js'
