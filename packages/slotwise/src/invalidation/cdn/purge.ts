import { setTimeout as sleep } from 'node:timers/promises'
import { type CallOptions, integer } from '../../options.js'
import { type Cdn, type Limits, limitsOf } from './limits.js'
import { surrogateKeys, type TagChange } from './surrogate.js'

/** Settings of {@link purging}. */
export interface PurgeOptions {
  readonly cdn: Cdn
  /** How often each request is tried. @defaultValue `4` */
  readonly attempts?: number | undefined
  /** The longest pause after the first failure, doubled with each; the pause itself is a part of it, by chance. @defaultValue `200` */
  readonly backoffMs?: number | undefined
  /** Bound on one attempt, whose signal aborts then. @defaultValue `5000` */
  readonly timeoutMs?: number | undefined
}

/** Purges keys, as many as the CDN takes in one request: yours, with your client and your token. Rejects if that failed. */
export type Purge = (keys: readonly string[], context: { readonly signal: AbortSignal }) => unknown

/** What a change may be told by: one of tags, or events of an outbox, among which those without a name purge nothing. */
type Told = Omit<TagChange, 'name'> & { readonly name?: string | undefined }

/**
 * Makes a purge of your CDN into what is called with changes: `onChange` of `TagVersions`, or the `handler` of an outbox. Keys of all
 * changes of a call once, split into requests as large as the CDN takes, one after another, each tried `attempts` times.
 *
 * It rejects when one has failed as often: an outbox then hands over the same again, so that every change is purged in the
 * end; `TagVersions` tells its `onError`, and that purge is lost. Harmless to repeat. An attempt that ignores its signal is waited
 * for no longer than `timeoutMs`, and may still be under way during the next.
 *
 * @example
 * ```ts
 * import { purging, TagVersions } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const purge = purging({ cdn: 'fastly' }, async (keys, { signal }) => {
 *   const url = 'https://api.fastly.com/service/SERVICE/purge'
 *   const headers = { 'fastly-key': process.env['FASTLY_KEY'] ?? '', 'content-type': 'application/json' }
 *   const { ok } = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ surrogate_keys: keys }), signal })
 *   if (!ok) throw new Error('Fastly did not purge')
 * })
 * new TagVersions(await connect('redis://127.0.0.1:7000'), { name: 'pages', onChange: purge, onError: console.error })
 * ```
 */
export function purging(
  options: PurgeOptions,
  purge: Purge,
): (told: Told | readonly Told[], context?: Pick<CallOptions, 'signal'>) => Promise<void> {
  const { cdn } = options
  const limits = limitsOf(cdn)
  const attempts = integer('attempts', options.attempts ?? 4)
  const backoffMs = integer('backoffMs', options.backoffMs ?? 200, { max: 60_000 })
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 5000, { max: 2 ** 31 - 1 })

  const once = async (keys: readonly string[], signal: AbortSignal | undefined): Promise<void> => {
    const timeout = AbortSignal.timeout(timeoutMs)
    const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    let stop = (): void => {}
    const ended = new Promise<never>((_, reject) => {
      stop = () => reject(either.reason)
      either.addEventListener('abort', stop, { once: true })
    })
    const run = async () => await purge(keys, { signal: either })
    try {
      await Promise.race([run(), ended])
    } finally {
      either.removeEventListener('abort', stop)
    }
  }

  return async (told, { signal } = {}) => {
    const changes = (Array.isArray(told) ? told : [told]) as readonly Told[]
    const keys = new Set(
      changes.flatMap(({ name, ...change }) =>
        name === undefined ? [] : surrogateKeys({ ...change, name }, { cdn }),
      ),
    )
    for (const batch of batches([...keys], limits)) {
      for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted()
        try {
          await once(batch, signal)
          break
        } catch (error) {
          if (attempt >= attempts || signal?.aborted === true) throw error
        }
        await sleep(Math.min(60_000, backoffMs * 2 ** (attempt - 1)) * Math.random(), undefined, {
          ref: false,
          signal,
        })
      }
    }
  }
}

function* batches(keys: readonly string[], { purgeKeys, purgeBytes }: Limits): Generator<readonly string[]> {
  let batch: string[] = []
  let bytes = 0
  for (const key of keys) {
    if (batch.length >= purgeKeys || bytes + key.length + 3 > purgeBytes) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(key)
    // With a separator, or quotes and a comma.
    bytes += key.length + 3
  }
  if (batch.length > 0) yield batch
}
