import { ConfigurationError, ReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { CommandCall, RedisPort, Reply } from './port.js'

type Command = CommandCall['command']

/** Its answer holds `appendonly`, `appendfsync` and `no-appendfsync-on-rewrite`, among others. */
const SETTINGS: Command = ['CONFIG', 'GET', '*append*']
/** For how long a server is taken for one without WAITAOF: an upgrade at the same address brings it. */
const LACKING_MS = 60_000

/**
 * Whether a write is on the disk of its server, asked behind it on the same connection. Where there is WAITAOF (Redis and Valkey
 * from 7.2), that waits and tells. Elsewhere the answer itself came after the disk, if the settings say so at that moment.
 */
export class Disks {
  readonly #having = new Set<string>()
  readonly #lackedAt = new Map<string, number>()

  /** What to ask a node: both where it is not known whether it has WAITAOF, so that each is asked only what it answers. */
  asked(node: string, waitMs: number): readonly Command[] {
    const wait: Command = ['WAITAOF', 1, 0, waitMs]
    if (this.#having.has(node)) return [wait]
    const lackedAt = this.#lackedAt.get(node) ?? Number.NEGATIVE_INFINITY
    return performance.now() - lackedAt < LACKING_MS ? [SETTINGS] : [SETTINGS, wait]
  }

  /** What the answers say; a refusal of either is no proof, and not an error of the write. */
  isSynced(node: string, answers: readonly PromiseSettledResult<Reply>[]): boolean {
    let isSynced = false
    for (const answer of answers) {
      if (answer.status === 'fulfilled') {
        const parts = Array.isArray(answer.value) ? answer.value : []
        if (typeof parts[0] !== 'number') isSynced ||= unsynced(settingsIn(parts), false) === undefined
        else {
          this.#having.add(node)
          isSynced = parts[0] > 0
        }
      } else if (isUnknown(answer.reason)) {
        this.#having.delete(node)
        this.#lackedAt.set(node, performance.now())
      }
    }
    return isSynced
  }
}

const isUnknown = (error: unknown): boolean =>
  error instanceof ReplyError && error.message.includes('unknown command')

/** The setting for which what is written is not known to be on the disk. */
function unsynced(settings: ReadonlyMap<string, string>, hasWait: boolean): string | undefined {
  const is = (name: string) => `${name} ${settings.get(name) ?? 'unknown'}`
  if (settings.get('appendonly') !== 'yes') return is('appendonly')
  const when = settings.get('appendfsync')
  if (when !== 'always' && !(hasWait && when === 'everysec')) return is('appendfsync')
  // While the log is written anew, nothing is synced then.
  const name = 'no-appendfsync-on-rewrite'
  return !hasWait && settings.get(name) === 'yes' ? is(name) : undefined
}

function settingsIn(parts: readonly Reply[]): ReadonlyMap<string, string> {
  const words = parts.map(String)
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? ''] as const] : [])))
}

/**
 * Whether each primary can say of a write that it is on its disk: `appendonly yes`, and where it has no WAITAOF also
 * `appendfsync always`.
 *
 * One that does not answer is not waited for: it serves nothing either, and is asked the next time.
 *
 * @throws ConfigurationError one cannot, or will not say
 */
export async function refuseUnsynced(
  port: RedisPort,
  what: string,
  options: CallOptions = {},
): Promise<void> {
  const [known, answers] = await Promise.all([
    port.onEachPrimary(['COMMAND', 'INFO', 'WAITAOF'], options),
    port.onEachPrimary(SETTINGS, options),
  ])
  const having = new Set(
    known.flatMap(({ node, result }) =>
      result.status === 'fulfilled' && Array.isArray(result.value) && Array.isArray(result.value[0])
        ? [node.id]
        : [],
    ),
  )
  for (const { node, result } of answers) {
    const name = `${node.host}:${node.port}`
    const hasWait = having.has(node.id)
    if (result.status === 'rejected') {
      // WAITAOF says itself, of each write, what it could not do.
      if (hasWait || !(result.reason instanceof ReplyError)) continue
      throw new ConfigurationError(
        `whether ${name} syncs ${what} is not known, since it has no WAITAOF and refuses CONFIG GET`,
        { cause: result.reason },
      )
    }
    const wrong = unsynced(settingsIn(Array.isArray(result.value) ? result.value : []), hasWait)
    if (wrong === undefined) continue
    const needed = hasWait
      ? 'appendonly yes, and appendfsync everysec or always'
      : 'appendonly yes, appendfsync always and no-appendfsync-on-rewrite no, since it has no WAITAOF'
    throw new ConfigurationError(`${name} does not sync ${what} (${wrong}); it needs ${needed}`)
  }
}
