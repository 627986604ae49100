/**
 * Making a cluster of servers, safely to repeat, and knowing how it is.
 *
 * @module
 */

export type { AddedNode, AddNodeOptions } from './add-node.js'
export { addNode } from './add-node.js'
export type {
  CreateClusterOptions,
  CreatedCluster,
  CreatedPrimary,
  CreatedReplica,
} from './create.js'
export { createCluster } from './create.js'
export type { FindingId } from './doctor/catalogue.js'
export type { DoctorOptions } from './doctor/doctor.js'
export { doctor } from './doctor/doctor.js'
export type { Finding, Severity, Usage } from './doctor/finding.js'
export type { NodeState } from './doctor/interview.js'
export type { FailedOver, FailoverOptions } from './failover.js'
export { failover } from './failover.js'
export type { FleetNode, FormerOwner, OperateOptions, Progress } from './fleet.js'
export type { ClusterHealth, HealthOptions, NodeHealth } from './health.js'
export { healthCheck } from './health.js'
export type { AnsweringNode, ClusterInfo, InfoOptions, NodeInfo, SilentNode } from './info.js'
export { clusterInfo } from './info.js'
export type { SlotMove } from './move-plan.js'
export type { MoveResult, MoveSlotsOptions, RebalanceOptions } from './move-slots.js'
export { moveSlots, rebalance } from './move-slots.js'
export type { RemovedNode, RemoveNodeOptions } from './remove-node.js'
export { removeNode } from './remove-node.js'
export type { OpenSlot, SlotRange } from './view.js'
export type { FellBack, Moved, MoveLimits } from './way.js'
