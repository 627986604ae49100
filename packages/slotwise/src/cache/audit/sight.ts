import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { RedisUnavailableError } from '../../errors.js'
import type { Key } from '../../keys.js'
import { versionOf } from '../entry.js'
import type { Instance } from '../instance.js'
import { judge, timedBytes, timedCalls } from '../look-reply.js'

/** An entry that a reader would get now. */
export interface Shown {
  /** No two entries have the same. */
  readonly version: string
  /** Of its value. */
  readonly print: string
}

/** What a reader of Redis, and one of this process, would get now. */
export interface Sight {
  readonly redis:
    | (Shown & { /** At the latest, since 1970. */ readonly storedAt: number; readonly tags: readonly Key[] })
    | undefined
  readonly local: Shown | undefined
}

/** What a value is compared by. */
export type Print = (value: unknown) => string

/** A hash of all of a value that a reader can tell, whatever the order of its properties. */
export function printOf(value: unknown): string {
  const text = inspect(value, {
    sorted: true,
    depth: null,
    maxArrayLength: null,
    maxStringLength: null,
    customInspect: false,
    breakLength: Infinity,
  })
  return createHash('sha256').update(text).digest('base64url')
}

/**
 * Looks without leaving a trace: what is read is not held, nor proved by it, so that a process which holds what it should not is not
 * mended by being looked at.
 *
 * @throws RedisUnavailableError or whatever the port throws: nothing is known
 */
export async function sightOf(
  instance: Instance,
  key: Key,
  print: Print,
  deadlineMs: number,
): Promise<Sight> {
  const { local } = instance
  const held = local?.find(key)
  const here: Shown | undefined =
    local === undefined || held === undefined
      ? undefined
      : { version: held.version.toString('hex'), print: print(await local.valueOf(held)) }
  if (!instance.reachable(key)) throw new RedisUnavailableError('this process does not read the entry now')
  const options = { deadlineMs, binary: true }
  const found = timedBytes(await instance.port.pipeline(timedCalls(key), options), 0, false)
  const answeredAt = Date.now()
  const seen = await judge(instance, found)
  if (seen?.state !== 'found' || seen.stale) return { redis: undefined, local: here }
  const store = instance.tags.beside(key)
  const { stamps, bytes, value, ageMs = 0 } = seen
  const versions =
    stamps.length === 0
      ? []
      : await store.versions(
          stamps.map(({ path }) => path),
          { deadlineMs },
        )
  if (stamps.some(({ version }, i) => versions[i]?.toString('latin1') !== version)) {
    return { redis: undefined, local: here }
  }
  return {
    redis: {
      version: versionOf(bytes).toString('hex'),
      print: print(value),
      storedAt: answeredAt - ageMs,
      tags: stamps.map(({ path }) => store.keyOf(path)),
    },
    local: here,
  }
}
