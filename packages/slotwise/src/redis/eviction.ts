import { ConfigurationError, ReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from './port.js'

/** What to do about primaries that may evict what has no end. */
export type EvictionCheck = 'refuse' | 'warn' | 'off'

/**
 * Whether what has no TTL stays: no primary may have a policy of `allkeys-…`, under which state vanishes without an error. What
 * `ends` by itself is evicted under a policy of `volatile-…` too.
 *
 * One that does not answer is not waited for: it serves nothing either, and is asked the next time.
 *
 * @throws ConfigurationError one has, or will not say
 */
async function refuseEviction(
  port: RedisPort,
  what: string,
  { ends = false, ...options }: CallOptions & { readonly ends?: boolean } = {},
): Promise<void> {
  const answers = await port.onEachPrimary(['CONFIG', 'GET', 'maxmemory-policy'], options)
  for (const { node, result } of answers) {
    const name = `${node.host}:${node.port}`
    if (result.status === 'rejected') {
      if (!(result.reason instanceof ReplyError)) continue
      throw new ConfigurationError(
        `whether ${name} evicts ${what} is not known, since it refuses CONFIG GET; evictionCheck: 'off' does without`,
        { cause: result.reason },
      )
    }
    const policy = Array.isArray(result.value) ? String(result.value[1] ?? '') : ''
    if (!policy.startsWith('allkeys-') && !(ends && policy.startsWith('volatile-'))) continue
    throw new ConfigurationError(
      `${name} may evict ${what} (maxmemory-policy ${policy}); set noeviction${ends ? '' : ' or a volatile-… policy'}, or evictionCheck: 'off'`,
    )
  }
}

/**
 * The same as far as a user wants to know it: `'warn'` reports what `'refuse'` throws.
 *
 * @throws ConfigurationError a primary may evict, or will not say, under `'refuse'`
 */
export async function checkEviction(
  port: RedisPort,
  what: string,
  {
    check,
    report,
    ...options
  }: CallOptions & {
    readonly check: EvictionCheck
    readonly report: (error: unknown) => void
    readonly ends?: boolean
  },
): Promise<void> {
  if (check === 'off') return
  await refuseEviction(port, what, options).catch((error: unknown) => {
    if (check !== 'warn' || !(error instanceof ConfigurationError)) throw error
    report(error)
  })
}
