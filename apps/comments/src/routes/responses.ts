import { z } from '@hono/zod-openapi'
import { PROBLEMS, type ProblemCode } from '../problems.js'

const ProblemBody = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
    retryAfterMs: z.int().min(0).optional(),
    errors: z.array(z.object({ at: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem')

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ProblemBody } },
})

/** What may happen to every endpoint that looks anything up. */
export const failures = {
  500: problem('A failure that nobody foresaw.'),
  503: problem(
    'Redis or Postgres does not answer, somebody else is changing the same thing, or too much waits to be written.',
  ),
}

/** What every endpoint under `/v1` may answer. */
const always = {
  401: problem('The key is missing or unknown.'),
  429: problem(
    'The plan of the tenant allows no more just now, or too many keys were wrong; `Retry-After` says when to come back.',
  ),
  ...failures,
}

const may = {
  400: problem('Something about the request is wrong; `errors` says what.'),
  403: problem('Somebody else wrote it.'),
  404: problem('It is not there, or belongs to another tenant: nobody is told which.'),
  412: problem('It was edited since.'),
  413: problem('The body has more than 64 KB.'),
  415: problem('The body is not `application/json`.'),
}

/** What goes wrong at an endpoint, for its description. */
export function refusals<const S extends keyof typeof may>(
  ...statuses: S[]
): typeof always & Pick<typeof may, S> {
  const picked = Object.fromEntries(statuses.map((status) => [status, may[status]]))
  return { ...always, ...picked } as typeof always & Pick<typeof may, S>
}

export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** A body that has to be there. */
export function body<T extends z.ZodType>(schema: T) {
  return { required: true as const, content: { 'application/json': { schema } } }
}

export const unchanged = { description: 'The caller already has it.' } as const
