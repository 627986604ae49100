import { RedisUnavailableError } from '../errors.js'
import type { CommandCall, PortCallOptions, RedisPort, Reply, ScriptCall } from '../redis/port.js'

/** Options of {@link writeAll}. */
export interface WriteAllOptions extends PortCallOptions {
  /** So many replicas are to know of a write before it counts as done; of each one, or of all. @defaultValue `0` */
  readonly replicas?: number | readonly number[] | undefined
}

/** Writes to any slots: one round trip a node, and one more for each that replicas are to know of. Never rejects. */
export async function writeAll(
  port: RedisPort,
  calls: readonly (CommandCall | ScriptCall)[],
  { replicas = 0, ...options }: WriteAllOptions,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  const awaited = typeof replicas === 'number' ? calls.map(() => replicas) : replicas
  try {
    if (calls.length === 0) return []
    if (awaited.every((count) => count === 0)) return await port.pipeline(calls, options)
  } catch (reason) {
    return calls.map(() => ({ status: 'rejected', reason }))
  }
  return await Promise.allSettled(
    calls.map(async (call, i) => {
      const wanted = awaited[i] ?? 0
      if (wanted === 0) return await port.call(call, options)
      const { reply, acknowledgedBy } = await port.writeThenWait(call, { ...options, replicas: wanted })
      if (acknowledgedBy >= wanted) return reply
      throw new RedisUnavailableError(`${acknowledgedBy} of ${wanted} replicas know of it`)
    }),
  )
}
