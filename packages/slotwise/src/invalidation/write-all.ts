import { RedisUnavailableError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { CommandCall, RedisPort, Reply, ScriptCall } from '../redis/port.js'

/** A write, and so many replicas that are to know of it before it counts as done. */
export interface Write {
  readonly call: CommandCall | ScriptCall
  readonly replicas: number
}

/** Writes to any slots: one round trip a node, and one more for each that replicas are to know of. Never rejects. */
export async function writeAll(
  port: RedisPort,
  writes: readonly Write[],
  options: CallOptions,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  if (writes.length === 0) return []
  try {
    if (writes.every(({ replicas }) => replicas === 0)) {
      return await port.pipeline(
        writes.map(({ call }) => call),
        options,
      )
    }
  } catch (reason) {
    return writes.map(() => ({ status: 'rejected', reason }))
  }
  return await Promise.allSettled(
    writes.map(async ({ call, replicas }) => {
      if (replicas === 0) return await port.call(call, options)
      const { reply, acknowledgedBy } = await port.writeThenWait(call, { ...options, replicas })
      if (acknowledgedBy >= replicas) return reply
      throw new RedisUnavailableError(`${acknowledgedBy} of ${replicas} replicas know of it`)
    }),
  )
}
