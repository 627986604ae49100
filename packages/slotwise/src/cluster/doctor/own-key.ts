import { randomUUID } from 'node:crypto'
import { type Key, keyOf } from '../../keys.js'
import type { RedisPort } from '../../redis/port.js'
import { slotOf } from '../../slots.js'

/** Enough to meet a single slot of all of them, all but certainly. */
const TRIES = 300_000

/** A key, or a channel, of our own in a slot that is wanted, which no other run has. */
export function ownKey(port: RedisPort, name: string, isThere: (slot: number) => boolean): Key | undefined {
  const space = { namespace: port.namespace, pattern: 'doctor', name }
  const run = randomUUID()
  for (let i = 0; i < TRIES; i++) {
    const key = keyOf(space, [run, i])
    if (isThere(slotOf(key))) return key
  }
  return undefined
}
