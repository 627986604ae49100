/**
 * Moving to a limiter from another one: both decide, one answers, and what they differ in is told.
 *
 * @module
 */
export {
  type Difference,
  type DualCounts,
  DualRun,
  type DualRunOptions,
} from './dual-run.js'
export { type FlexibleLimiter, flexibleSide } from './flexible.js'
export { limiterSide, type Ruling, type Side } from './side.js'
