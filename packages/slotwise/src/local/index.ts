/**
 * A real Redis Cluster on this machine, for tests and development.
 *
 * @module
 */
export type { Certificate, CertificateOptions } from './certificate.js'
export { makeCertificate } from './certificate.js'
export type { ReachedGroups } from './groups.js'
export type { LocalCluster, LocalConnectOptions, LocalNode } from './local-cluster.js'
export type { LocalClusterOptions } from './options.js'
export { startLocalCluster } from './start.js'
