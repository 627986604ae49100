import { LoadTimeoutError, SlotwiseError } from 'slotwise'

/** What can go wrong for a caller, as the field `code` of a problem says it. Codes never change. */
export const PROBLEMS = {
  MALFORMED_JSON: { status: 400, title: 'The body is not JSON' },
  INVALID_REQUEST: { status: 400, title: 'The request is not valid' },
  UNAUTHORIZED: { status: 401, title: 'A valid API key is needed' },
  FORBIDDEN: { status: 403, title: 'Only the author may do this' },
  NOT_FOUND: { status: 404, title: 'There is nothing here' },
  PRECONDITION_FAILED: { status: 412, title: 'It has changed since you read it' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The body must be application/json' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  INTERNAL: { status: 500, title: 'Something is wrong on our side' },
  BUSY: { status: 503, title: 'Somebody else is changing the same thing' },
  BACKLOG_FULL: { status: 503, title: 'Too much waits to be written' },
  REDIS_UNAVAILABLE: { status: 503, title: 'Redis does not answer' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'The database does not answer' },
} as const

export type ProblemCode = keyof typeof PROBLEMS

/** One thing that is wrong with a request. */
export interface Mistake {
  /** Where: `body`, `path`, `query` or `header`, and the field. */
  readonly at: string
  readonly message: string
}

export interface ProblemDetails {
  readonly retryAfterMs?: number | undefined
  readonly errors?: readonly Mistake[] | undefined
  readonly cause?: unknown
}

/** A failure that the caller is told of (RFC 9457). */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: (typeof PROBLEMS)[ProblemCode]['status']
  readonly retryAfterMs: number | undefined
  readonly errors: readonly Mistake[] | undefined

  constructor(code: ProblemCode, detail: string, { retryAfterMs, errors, cause }: ProblemDetails = {}) {
    super(detail, cause === undefined ? undefined : { cause })
    this.name = 'Problem'
    this.code = code
    this.status = PROBLEMS[code].status
    this.retryAfterMs = retryAfterMs
    this.errors = errors
  }

  /** The body. The text of an inner failure is never in it. */
  toJSON(): object {
    const { code, status, message, retryAfterMs, errors } = this
    return {
      type: `urn:slotwise:comments:problem:${code.toLowerCase().replaceAll('_', '-')}`,
      title: PROBLEMS[code].title,
      status,
      detail: message,
      code,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(errors === undefined ? {} : { errors }),
    }
  }
}

export const notFound = (): Problem => new Problem('NOT_FOUND', 'There is no such thing, or it is not yours.')

/** Every failure as a problem. What nobody foresaw becomes `INTERNAL`, with the failure as its cause. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof SlotwiseError) {
    if (error.code === 'LOCK_BUSY' || error.code === 'LOCK_LOST') {
      return new Problem('BUSY', 'Nothing is known to be changed. Try again.', {
        retryAfterMs: 200,
        cause: error,
      })
    }
    if (REDIS_AWAY.has(error.code)) {
      return new Problem('REDIS_UNAVAILABLE', 'Try again in a moment.', { retryAfterMs: 1000, cause: error })
    }
  }
  if (isDatabaseAway(error) || error instanceof LoadTimeoutError) {
    return new Problem(
      'DATABASE_UNAVAILABLE',
      'Try again in a moment. A change that was under way may have been made.',
      { retryAfterMs: 1000, cause: error },
    )
  }
  return new Problem('INTERNAL', 'It has been written down. Try again later.', { cause: error })
}

const REDIS_AWAY: ReadonlySet<string> = new Set([
  'REDIS_UNAVAILABLE',
  'OUTCOME_UNKNOWN',
  'SLOT_MOVING',
  'LOCK_UNAVAILABLE',
  'CLOSED',
])

// The classes of Postgres: 08 connection, 53 out of resources, 57 stopped by an operator or a time-out, 58 its
// own input and output, 40 a conflict that repeating solves.
const AWAY =
  /^(?:08|53|57|58|40)...$|^E(?:CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|NOTFOUND|AI_AGAIN)$/
const AWAY_WORDS =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end)/

function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  // A transaction that did not end while its intent stood, and was rolled back.
  if (error.name === 'TimeoutError') return true
  if ('code' in error && typeof error.code === 'string' && AWAY.test(error.code)) return true
  return AWAY_WORDS.test(error.message)
}
