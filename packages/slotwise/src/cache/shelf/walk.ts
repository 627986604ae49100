import { RedisUnavailableError } from '../../errors.js'
import { everyKey } from '../../invalidation/everything.js'
import { type Key, type KeySpace, keysOf, readKey } from '../../keys.js'
import { Budget } from '../budget.js'
import type { Instance } from '../instance.js'
import { invalidateKeys } from '../invalidate.js'
import { lookMany } from '../look.js'
import type { Filed } from './filed.js'

/** The words that something is filed under. */
export type Parts = readonly string[]

/** How long slots may keep on moving before it is given up. */
const WALK_MS = 60_000
/** How many values are read at a time, and how long that may take: a list with holes would be a lie. */
const AT_A_TIME = 100
const READ_MS = 10_000

/** What must be stored with a value to find its words again: nothing, where the key tells them. */
export function labelOf(key: Key, parts: Parts): Parts | undefined {
  return isHashed(key) ? parts : undefined
}

/** What is filed below these words, each once. */
export async function partsOf(instance: Instance, space: KeySpace, below: Parts): Promise<readonly Parts[]> {
  const all = await partsByKey(instance, await keysOn(instance, space))
  return [...all.values()].filter((parts) => isBelow(parts, below))
}

/** Everything with its value. The keys come first, so that nothing is found twice. */
export async function* entriesOf(
  instance: Instance,
  space: KeySpace,
): AsyncGenerator<readonly [parts: Parts, value: unknown]> {
  for (const keys of chunks(await keysOn(instance, space))) {
    for (const [key, { parts = wordsOf(key), value }] of await filedUnder(instance, keys)) {
      if (parts !== undefined) yield [parts, value]
    }
  }
}

/** Removes what is filed below these words; without any, also what cannot be read. */
export async function removeBelow(instance: Instance, space: KeySpace, below: Parts): Promise<void> {
  for await (const keys of everyKey(instance.port, keysOf(space), { deadlineMs: WALK_MS })) {
    if (below.length === 0) {
      await invalidateKeys(instance, keys)
      continue
    }
    const all = await partsByKey(instance, keys)
    await invalidateKeys(
      instance,
      [...all].filter(([, parts]) => isBelow(parts, below)).map(([key]) => key),
    )
  }
}

async function keysOn(instance: Instance, space: KeySpace): Promise<readonly Key[]> {
  const keys = new Set<Key>()
  for await (const some of everyKey(instance.port, keysOf(space), { deadlineMs: WALK_MS })) {
    for (const key of some) keys.add(key)
  }
  // What this process was told to remove is not there, whatever Redis still has.
  return [...keys].filter((key) => !instance.pending.has(key))
}

/** The words of the keys; those of long ones lie with their values. */
async function partsByKey(instance: Instance, keys: readonly Key[]): Promise<ReadonlyMap<Key, Parts>> {
  const found = new Map<Key, Parts>()
  for (const key of keys) {
    const words = wordsOf(key)
    if (words !== undefined) found.set(key, words)
  }
  for (const some of chunks(keys.filter(isHashed))) {
    for (const [key, { parts }] of await filedUnder(instance, some)) {
      if (parts !== undefined) found.set(key, parts)
    }
  }
  return found
}

/** What lies under the keys; what is gone meanwhile, or cannot be read, is not in it. */
async function filedUnder(instance: Instance, keys: readonly Key[]): Promise<ReadonlyMap<Key, Filed>> {
  const looks = await lookMany(instance, keys, new Budget(READ_MS))
  const found = new Map<Key, Filed>()
  for (const [i, key] of keys.entries()) {
    const seen = looks[i]
    if (seen?.state === 'found') found.set(key, seen.value as Filed)
    if (seen?.state === 'unreachable' && !instance.pending.has(key)) {
      throw new RedisUnavailableError('a primary does not answer, so what it holds cannot be listed')
    }
  }
  return found
}

const isHashed = (key: Key): boolean => /#[\w-]{43}\}$/.test(key)

function wordsOf(key: Key): Parts | undefined {
  const read = readKey(key)
  return read === undefined || read.id.hashed ? undefined : read.id.words
}

/** `['a', 'b']` is below `['a']` and below `[]`, and not below itself. */
function isBelow(parts: Parts, below: Parts): boolean {
  return parts.length > below.length && below.every((part, i) => parts[i] === part)
}

function chunks(keys: readonly Key[]): readonly (readonly Key[])[] {
  return Array.from({ length: Math.ceil(keys.length / AT_A_TIME) }, (_, i) =>
    keys.slice(i * AT_A_TIME, (i + 1) * AT_A_TIME),
  )
}
