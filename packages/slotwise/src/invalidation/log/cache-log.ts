import type { Key } from '../../keys.js'
import type { RedisPort, Reply } from '../../redis/port.js'
import { type WriteAllOptions, writeAll } from '../write-all.js'
import { ChangeLog } from './change-log.js'

/**
 * Where the caches of a tag space, and whoever changes what is theirs, tell of it if servers do not: in so many logs, of the
 * last so many changes in each. The same for everybody.
 */
export function cacheLog(port: RedisPort, tagSpace: string): ChangeLog {
  return new ChangeLog(port, { pattern: 'changes', name: tagSpace, logs: 8, keep: 10_000 })
}

/**
 * What has been done to the keys counts once it is in the log, if there is one: where it cannot be told, all of it has failed,
 * and is to be done again. Never rejects.
 */
export async function toldIn(
  log: ChangeLog | undefined,
  keys: readonly Key[],
  results: readonly PromiseSettledResult<Reply>[],
  options: WriteAllOptions,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  if (log === undefined) return results
  const calls = log.appending(keys.filter((_, i) => results[i]?.status === 'fulfilled'))
  const told = await writeAll(log.port, calls, options)
  const failed = told.find((result) => result.status === 'rejected')
  return failed === undefined ? results : results.map(() => failed)
}
