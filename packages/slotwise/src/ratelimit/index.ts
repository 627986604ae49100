/**
 * Rate limits: all tiers of a subject decided together, in one round trip.
 *
 * @module
 */
export type { Decision, TierDescription, TierKind, TierState } from './decision.js'
export type { Cost, Subject } from './policy.js'
export type { ConsumeOptions, RateLimiterOptions } from './rate-limiter.js'
export { RateLimiter } from './rate-limiter.js'
export type { Receipt } from './receipt.js'
export type { Tier, TokenBucketOptions } from './tiers.js'
export { tokenBucket } from './tiers.js'
