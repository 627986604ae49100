/**
 * Errors and shared types. The patterns live in their own subpaths: `slotwise/cache`, `slotwise/ratelimit`,
 * `slotwise/lock`, and so on.
 *
 * @module
 */
export * from './errors.js'
export type { Id } from './keys.js'
export type { CallOptions } from './options.js'
