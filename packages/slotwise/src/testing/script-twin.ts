import type { ScriptSource } from '../redis/script.js'
import type { ScriptContext, Twin, Value } from './lua/index.js'

/**
 * A script of your own as a Redis in memory runs it, by the same commands: what it returns, `Table` for a list, is what
 * the script returns. It belongs to this very text; when the text changes, it is asked for again.
 *
 * @example
 * ```ts
 * import type { ScriptSource } from 'slotwise/redis'
 * import { memoryPort, scriptTwin } from 'slotwise/testing'
 *
 * declare const raise: ScriptSource<'counter', 'by'> // return redis.call('INCRBY', KEYS[1], ARGV[1])
 * const twin = scriptTwin(raise, ({ KEYS, ARGV, call }) => call('INCRBY', KEYS.get(1), ARGV.get(1)))
 * export const port = memoryPort({ scripts: [twin] })
 * ```
 */
export function scriptTwin(source: ScriptSource, run: (redis: ScriptContext) => Value): Twin {
  return { name: source.name, sha1: source.sha1, run }
}
