/**
 * Rate limits for the route handlers of Next.js 15 and 16.
 *
 * @module
 */
export { type NextLimitOptions, nextLimit } from './limit.js'
