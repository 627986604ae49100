/**
 * The port: what a pattern may ask of Redis, and how a script is called by names.
 *
 * @module
 */
export type { Key, KeySpace } from '../keys.js'
export { keyOf } from '../keys.js'
export { SLOTS, slotOf } from '../slots.js'
export type {
  Argument,
  ClusterNode,
  CommandCall,
  PortCallOptions,
  RedisPort,
  Repeat,
  Reply,
  ScriptCall,
  Topology,
} from './port.js'
export type { Script, ScriptSource } from './script.js'
export { defineScript } from './script.js'
