/**
 * Rate limits: all tiers of a subject decided together, in one round trip.
 *
 * @module
 */
export type { RateLimitAdminOptions, SubjectOptions, SubjectReport } from './admin.js'
export { RateLimitAdmin } from './admin.js'
export type { Period } from './calendar.js'
export type { Decision, LeaseDescription, Refused, TierDescription, TierKind, TierState } from './decision.js'
export type { LeaseOptions } from './lease-terms.js'
export type { LeaseStats } from './leases.js'
export type { Place, WaitOptions } from './line.js'
export type { LimitedSubject } from './most-refused.js'
export type {
  BlockOptions,
  ConsumeOptions,
  PartOptions,
  PenalizeOptions,
  RateLimiterOptions,
  SettleOptions,
} from './options.js'
export type { OnPlanChange } from './plan.js'
export { PLANS } from './plans.js'
export type { Cost, Subject } from './policy.js'
export { RateLimiter } from './rate-limiter.js'
export type { Receipt } from './receipt.js'
export type {
  ConcurrencyOptions,
  FixedWindowOptions,
  SlidingLogOptions,
  SlidingWindowOptions,
  Tier,
  TierOptions,
  TokenBucketOptions,
} from './tiers.js'
export { concurrency, fixedWindow, slidingLog, slidingWindow, tokenBucket } from './tiers.js'
