import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { everyKey } from './everything.js'
import type { ChangeOptions } from './tags/tag-store.js'
import { writeAll } from './write-all.js'

/**
 * Removes every key that begins like this, of whatever type and whoever wrote it, from every primary: a whole namespace, all
 * entries of a cache (`shop:cache:articles:`), or the versions of all tags of a name (`shop:tag:articles:`), each of which
 * has changed by that. Returns how many keys it has found.
 *
 * Guaranteed: a key that is there from beginning to end is removed, also while slots move, and with an entry the right of the
 * load under way to store it. Not guaranteed: what becomes of keys that are written meanwhile; and changes by `mutate` that
 * are under way lose their intents, so that they are covered by their end alone. It looks at all keys of
 * the servers, a thousand at a time, so it takes as long as there are keys, whosever they are: a tag above all of what is
 * to go is one command. Processes that hold entries hear of it from the servers, and not with `coherence: 'log'`.
 *
 * @throws ConfigurationError the prefix is empty
 * @throws RedisUnavailableError some may be left, or slots have kept on moving for `deadlineMs` (60,000): call it again
 *
 * @example
 * ```ts
 * import { removePrefix } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * console.log(await removePrefix(redis, 'shop:cache:articles:'))
 * ```
 */
export async function removePrefix(
  port: RedisPort,
  prefix: string,
  { deadlineMs, signal, replicas = 0 }: ChangeOptions = {},
): Promise<number> {
  if (typeof prefix !== 'string' || prefix === '') {
    throw new ConfigurationError(`a prefix must be a text that is not empty, got ${shown(prefix)}`)
  }
  const bounds = { signal, deadlineMs: integer('deadlineMs', deadlineMs ?? 60_000) }
  const terms = { signal, replicas: integer('replicas', replicas, { min: 0 }) }
  const found = new Set<string>()
  let failed: PromiseRejectedResult | undefined
  for await (const keys of everyKey(port, `${prefix.replaceAll(/[*?[\]\\]/g, '\\$&')}*`, bounds)) {
    const calls = keys.map((key) => ({ key, command: ['UNLINK', key], repeat: 'safe' }) as const)
    const results = await writeAll(port, calls, terms)
    failed ??= results.find((result) => result.status === 'rejected')
    for (const key of keys) found.add(key)
  }
  if (failed !== undefined) throw failed.reason
  return found.size
}
