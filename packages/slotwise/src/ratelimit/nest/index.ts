/**
 * Rate limits for NestJS 11.
 *
 * @module
 */
export { type NestContextLike, type NestGuard, type NestLimitOptions, nestLimit } from './guard.js'
