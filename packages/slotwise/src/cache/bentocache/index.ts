/**
 * The second level of BentoCache 1 over Redis Cluster.
 *
 * @module
 */
export type { AdapterOptions as BentocacheDriverOptions } from '../shelf/options.js'
export { type BentocacheDriver, bentocacheDriver } from './driver.js'
