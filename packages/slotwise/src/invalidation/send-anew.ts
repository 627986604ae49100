import { OutcomeUnknownError } from '../errors.js'
import type { PortCallOptions, RedisPort, Reply, ScriptCall } from '../redis/port.js'

/**
 * Sends calls that leave something of their own in Redis, by which they are known later, and those of whose outcome nothing
 * is known once more, made anew. Repeated as it was, one that comes late could leave the same again, after somebody has taken
 * it away: what was out of date would count. Never rejects.
 */
export async function sendAnew(
  port: RedisPort,
  make: readonly (() => ScriptCall)[],
  options: PortCallOptions,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  const from = performance.now()
  const send = async (some: readonly (() => ScriptCall)[], given: PortCallOptions) => {
    const calls = some.map((one) => one())
    return await port
      .pipeline(calls, given)
      .catch((reason: unknown) => calls.map((): PromiseRejectedResult => ({ status: 'rejected', reason })))
  }
  const results = await send(make, options)
  const isLost = (i: number): boolean => {
    const result = results[i]
    return result?.status === 'rejected' && result.reason instanceof OutcomeUnknownError
  }
  const lost = make.filter((_, i) => isLost(i))
  const { deadlineMs } = options
  const leftMs = deadlineMs === undefined ? undefined : Math.floor(deadlineMs - (performance.now() - from))
  if (lost.length === 0 || options.signal?.aborted === true || (leftMs !== undefined && leftMs < 1))
    return results
  const again = (await send(lost, { ...options, deadlineMs: leftMs })).values()
  return results.map((result, i) => (isLost(i) ? (again.next().value ?? result) : result))
}
