import { OutcomeUnknownError } from '../errors.js'
import type { RedisPort, Reply, ScriptCall } from '../redis/port.js'
import { type WriteAllOptions, writeAll } from './write-all.js'

/**
 * Sends calls that leave something of their own in Redis, by which they are known later, and those of whose outcome nothing
 * is known once more, made anew. Repeated as it was, one that comes late could leave the same again, after somebody has taken
 * it away: what was out of date would count. Never rejects.
 */
export async function sendAnew(
  port: RedisPort,
  make: readonly (() => ScriptCall)[],
  options: WriteAllOptions,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  const from = performance.now()
  const send = (some: readonly (() => ScriptCall)[], given: WriteAllOptions) =>
    writeAll(
      port,
      some.map((one) => one()),
      given,
    )
  const results = await send(make, options)
  const isLost = (i: number): boolean => {
    const result = results[i]
    return result?.status === 'rejected' && result.reason instanceof OutcomeUnknownError
  }
  const lost = make.filter((_, i) => isLost(i))
  const { deadlineMs = port.setup?.commandTimeoutMs } = options
  const leftMs = deadlineMs === undefined ? undefined : Math.floor(deadlineMs - (performance.now() - from))
  if (lost.length === 0 || options.signal?.aborted === true || (leftMs !== undefined && leftMs < 1))
    return results
  const again = (await send(lost, { ...options, deadlineMs: leftMs })).values()
  return results.map((result, i) => (isLost(i) ? (again.next().value ?? result) : result))
}
