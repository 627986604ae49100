/**
 * A store for Keyv 5, and through it for cache-manager 7 and cacheable, over Redis Cluster.
 *
 * @module
 */
export type { AdapterOptions as KeyvStoreOptions } from '../shelf/options.js'
export { type KeyvEntry, KeyvStore } from './store.js'
