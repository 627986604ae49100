/**
 * The caches of Next 15 and 16 over Redis Cluster.
 *
 * @module
 */
export type {
  IncrementalContext,
  IncrementalEntry,
  IncrementalGet,
  IncrementalHandler,
  IncrementalSet,
} from './incremental.js'
export { NextCache } from './next-cache.js'
export type { NextCacheOptions, NextCacheRedis } from './options.js'
export type { UseCacheEntry, UseCacheHandler } from './use-cache.js'
