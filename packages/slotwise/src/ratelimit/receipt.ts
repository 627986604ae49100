/** What an admission took, for {@link RateLimiter.refund}. Opaque: only the limiter that made it reads it. */
export interface Receipt<N extends string = string> {
  /** What was taken of each tier. */
  readonly costs: Readonly<Record<N, number>>
}
