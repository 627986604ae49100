/**
 * Rate limits over HTTP: headers, refusals, clients behind proxies, and a middleware for `node:http`.
 *
 * @module
 */
export type { QuotaUnit } from './fields.js'
export type { HeaderList } from './headers.js'
export type { Admission, Denial, HttpLimiter } from './limiter.js'
export { httpLimit, type NodeRequest, type NodeResponse } from './node.js'
export type {
  KeyOption,
  Outcome,
  ProtectOptions,
  ProtectSettings,
  Refusal,
  RefusalBody,
} from './options.js'
export type { Problem } from './problem.js'
export { type Protection, protect, type Verdict } from './protect.js'
export type { Proxies, RequestFacts } from './proxies.js'
