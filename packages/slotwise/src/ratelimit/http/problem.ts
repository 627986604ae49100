import { policyName } from './fields.js'
import type { Denial } from './limiter.js'

/** Where the draft has its problem types registered. */
const TYPES = 'https://iana.org/assignments/http-problem-types#'

/** What a refusal is, in the words of RFC 9457 and of draft-ietf-httpapi-ratelimit-headers-10 §5. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: 429 | 503
  readonly detail?: string
  readonly 'violated-policies': readonly string[]
}

/** A quota that is used up, a block, and a decision that could not be had are three different things to a client. */
const KINDS: Readonly<Record<Denial['reason'], Omit<Problem, 'violated-policies'>>> = {
  limited: { type: `${TYPES}quota-exceeded`, title: 'Quota exceeded', status: 429 },
  'exceeds-capacity': {
    type: `${TYPES}quota-exceeded`,
    title: 'Quota exceeded',
    status: 429,
    detail: 'This request takes more than the whole quota: waiting does not help.',
  },
  blocked: { type: `${TYPES}abnormal-usage-detected`, title: 'Abnormal usage detected', status: 429 },
  unavailable: {
    type: `${TYPES}temporary-reduced-capacity`,
    title: 'Temporary reduced capacity',
    status: 503,
  },
}

export function problemOf(denial: Denial): Problem {
  const violated = 'violated' in denial ? denial.violated.map(policyName) : []
  return { ...KINDS[denial.reason], 'violated-policies': violated }
}
