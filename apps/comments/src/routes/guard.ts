import type { Context, MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { Problem, problemOf } from '../problems.js'
import type { Tenant } from '../repositories/tenants.js'
import type { Allowance, Client, LimitService } from '../services/limits.js'
import { type TenantService, unauthorized } from '../services/tenants.js'
import { Trace, withTrace } from '../trace.js'
import type { Variables } from './router.js'

/** The most that a body may hold. */
const MOST_BYTES = 64 * 1024

/** Who, how often, and on the way back: where the answer came from. Everything under `/v1` goes through it. */
export function guard(
  tenants: TenantService,
  limits: LimitService,
): MiddlewareHandler<{ Variables: Variables }> {
  return async (context, next) => {
    const trace = new Trace()
    let allowance: Allowance | undefined
    await withTrace(trace, async () => {
      try {
        const tenant = await tenantOf(context, tenants, limits)
        context.set('tenant', tenant)
        allowance = await limits.consume(tenant, isWrite(context.req))
        if (!allowance.allowed) {
          throw tooMany(`The plan ${tenant.plan} allows no more just now.`, allowance)
        }
        refuseBrokenPath(context.req.raw.url)
        await next()
      } catch (error) {
        context.res = problemResponse(error, context)
      }
    })
    const { headers } = context.res
    headers.set('Server-Timing', String(trace))
    headers.set('X-Cache', trace.pending ? 'pending' : trace.origin)
    headers.set('Cache-Control', 'private, no-cache')
    headers.set('Vary', 'Authorization, X-User')
    for (const [name, value] of allowance?.headers ?? []) headers.set(name, value)
  }
}

/** Whoever reads is counted among the viewers by a POST, and has written nothing. */
const isWrite = ({ method, path }: Context['req']): boolean =>
  method !== 'GET' && method !== 'HEAD' && !path.endsWith('/views')

const tooMany = (detail: string, { retryAfterMs }: Allowance) =>
  new Problem('RATE_LIMITED', detail, { retryAfterMs })

/** A key that is valid is never refused for what others send from the same address. */
async function tenantOf(context: Context, tenants: TenantService, limits: LimitService): Promise<Tenant> {
  const key = keyOf(context)
  try {
    return await tenants.authenticate(key)
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'UNAUTHORIZED') throw error
    const allowance = await limits.wrongKey(clientOf(context))
    if (allowance.allowed) throw error
    throw tooMany('Too many keys that are not valid came from your address.', allowance)
  }
}

/** What the server gives along with a request. */
interface Connection {
  readonly incoming: { readonly socket: { readonly remoteAddress?: string | undefined } }
}

const clientOf = ({ req, env }: Context): Client => ({
  header: (name) => req.header(name),
  remoteAddress: (env as Partial<Connection> | undefined)?.incoming?.socket.remoteAddress,
})

/** Lets pass what says it is JSON and is not too long, without having read what is too long. */
export const fitBody: MiddlewareHandler = async (context, next) => {
  const { raw } = context.req
  if (raw.body === null) return next()
  const length = raw.headers.get('content-length')
  if (length !== null && Number(length) > MOST_BYTES) throw tooLarge()
  if (!/^application\/json\s*(?:;|$)/i.test(raw.headers.get('content-type') ?? '')) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json.')
  }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of raw.body) {
    bytes += part.byteLength
    if (bytes > MOST_BYTES) throw tooLarge()
    parts.push(part)
  }
  context.req.raw = new Request(raw.url, { method: raw.method, headers: raw.headers, body: textOf(parts) })
  return next()
}

const tooLarge = () => new Problem('PAYLOAD_TOO_LARGE', `A body has at most ${MOST_BYTES / 1024} KB.`)

function textOf(parts: readonly Uint8Array[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts))
  } catch {
    throw new Problem('MALFORMED_JSON', 'The body is not UTF-8.')
  }
}

function keyOf(context: Context): string {
  const key = /^Bearer +(\S{1,512})$/i.exec(context.req.header('authorization')?.trim() ?? '')?.[1]
  if (key === undefined) throw unauthorized()
  return key
}

/** Percent signs that decode to nothing would be taken literally, and an id would have two spellings. */
function refuseBrokenPath(url: string): void {
  try {
    decodeURIComponent(url.split(/[?#]/, 1)[0] ?? '')
  } catch {
    throw new Problem('INVALID_REQUEST', 'The path is not percent-encoded UTF-8.')
  }
}

/** The framework's own failures: it throws one only for a body that it cannot parse. */
function malformed(error: HTTPException): Problem {
  if (error.status === 400) return new Problem('MALFORMED_JSON', 'The body is not JSON.', { cause: error })
  return problemOf(error)
}

export function problemResponse(error: unknown, context: Context): Response {
  const problem = error instanceof HTTPException ? malformed(error) : problemOf(error)
  context.error = problem
  const headers = new Headers({ 'Content-Type': 'application/problem+json' })
  if (problem.status === 401) headers.set('WWW-Authenticate', 'Bearer')
  if (problem.retryAfterMs !== undefined) {
    headers.set('Retry-After', String(Math.max(1, Math.ceil(problem.retryAfterMs / 1000))))
  }
  return new Response(JSON.stringify(problem), { status: problem.status, headers })
}
