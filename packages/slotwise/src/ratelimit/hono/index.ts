/**
 * Rate limits for Hono 4.
 *
 * @module
 */
export { type HonoContextLike, type HonoLimitOptions, honoLimit } from './limit.js'
