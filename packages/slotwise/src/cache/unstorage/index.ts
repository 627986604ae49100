/**
 * A driver for unstorage 1 over Redis Cluster.
 *
 * @module
 */
export { type UnstorageDriver, type UnstorageDriverOptions, unstorageDriver } from './driver.js'
