/**
 * Making a cluster of servers, safely to repeat, and knowing how it is.
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
export type { FindingId } from './doctor/catalogue.js'
export type { Finding, Severity, Usage } from './doctor/finding.js'
export type { NodeState } from './doctor/interview.js'
export type { ClusterHealth, HealthOptions, NodeHealth } from './health.js'
export { healthCheck } from './health.js'
export type { AnsweringNode, ClusterInfo, InfoOptions, NodeInfo, SilentNode } from './info.js'
export { clusterInfo } from './info.js'
export type { OpenSlot, SlotRange } from './view.js'
