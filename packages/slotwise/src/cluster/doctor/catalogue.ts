import { NODE_FINDINGS } from './catalogue-nodes.js'
import { SERVICE_FINDINGS } from './catalogue-service.js'

/** Every finding by its id, for the code and for the table in docs/patterns/cluster.md. */
export const FINDINGS = { ...SERVICE_FINDINGS, ...NODE_FINDINGS } as const

/** The stable id of a finding. */
export type FindingId = keyof typeof FINDINGS
