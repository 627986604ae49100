/**
 * Making a cluster of servers, safely to repeat.
 *
 * @module
 */
export type {
  CreateClusterOptions,
  CreatedCluster,
  CreatedPrimary,
  CreatedReplica,
} from './create.js'
export { createCluster } from './create.js'
export type { SlotRange } from './view.js'
