/**
 * Cache-aside and write-through that never serve from Redis what was invalidated.
 *
 * @module
 */
export type { CacheOptions } from './cache.js'
export { Cache } from './cache.js'
export type { Load, LoadContext } from './course.js'
export type { CacheStats, ErrorContext } from './instance.js'
export type { CacheAnswer, CacheRead, CacheView, LoadOptions, WriteOptions } from './view.js'
export type { Write } from './write-through.js'
