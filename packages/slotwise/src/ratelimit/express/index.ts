/**
 * Rate limits for Express 5, and a store for express-rate-limit 8.
 *
 * @module
 */
export { type ExpressRequest, expressLimit } from './limit.js'
export { ExpressRateLimitStore, type ExpressRateLimitStoreOptions } from './store.js'
