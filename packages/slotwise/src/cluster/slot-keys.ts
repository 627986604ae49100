import { KeyTooLargeError, ReplyError, UnexpectedReplyError } from '../errors.js'
import type { WireReply } from '../redis/resp.js'
import type { WireCommand } from '../redis/wire.js'
import type { Member } from './observe.js'

/** A key of a slot that is to be moved, and what it takes in memory. */
export interface SlotKey {
  readonly slot: number
  readonly key: Buffer
  readonly bytes: number
}

/** What was found in slots, and when. */
export interface Found {
  readonly keys: readonly SlotKey[]
  /** No slot named a key. Keys that were named and are gone since leave `keys` empty without that. */
  readonly isEmpty: boolean
  readonly at: number
}

/**
 * How many keys are asked for by commands that are sent together. A slot of millions named in one reply would hold
 * its server up as a large key does.
 */
const PAGE = 10_000
/** Sizes asked for at once. They sample, at a few microseconds each. */
const AT_ONCE = 500

/**
 * Keys of the slots with their sizes: all of them, except of slots that hold more than a page.
 *
 * @throws KeyTooLargeError one takes more than `maxBytes`
 */
export async function keysIn(
  from: Member,
  slots: readonly number[],
  maxBytes: number,
  halfMoved: (slot: number) => boolean,
): Promise<Found> {
  const counts = await asked(
    from,
    slots.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]),
  )
  const named: { slot: number; key: Buffer }[] = []
  for (const page of pages(slots, counts.map(Number))) {
    const replies = await asked(
      from,
      page.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', slot, PAGE]),
    )
    for (const [i, slot] of page.entries()) {
      for (const key of listOf(from, replies[i])) named.push({ slot, key })
    }
  }
  const keys: SlotKey[] = []
  for (let i = 0; i < named.length; i += AT_ONCE) {
    const some = named.slice(i, i + AT_ONCE)
    const sizes = await asked(
      from,
      some.map(({ key }) => ['MEMORY', 'USAGE', key]),
    )
    for (const [j, { slot, key }] of some.entries()) {
      const bytes = Number(sizes[j])
      if (bytes > maxBytes) {
        const { node } = from.client
        throw new KeyTooLargeError(key.toString(), bytes, { slot, node, halfMoved: halfMoved(slot) })
      }
      // Without a size it is gone since it was named.
      if (sizes[j] !== null) keys.push({ slot, key, bytes })
    }
  }
  return { keys, isEmpty: named.length === 0, at: performance.now() }
}

/** Slots that hold something, those together that name no more than a page of keys. */
function pages(slots: readonly number[], counts: readonly number[]): number[][] {
  const filled: number[][] = []
  let room = 0
  for (const [i, slot] of slots.entries()) {
    const count = counts[i] ?? 0
    if (count === 0) continue
    const last = filled.at(-1)
    if (last === undefined || count > room) {
      filled.push([slot])
      room = PAGE - count
    } else {
      last.push(slot)
      room -= count
    }
  }
  return filled
}

/** Sends all at once, and throws what is refused first. */
export async function asked(
  { client }: Member,
  commands: readonly WireCommand[],
  timeoutMs?: number,
): Promise<readonly WireReply[]> {
  if (commands.length === 0) return []
  const replies = await client.pipeline(commands, timeoutMs)
  for (const reply of replies) if (reply instanceof ReplyError) throw reply
  return replies
}

function listOf({ client }: Member, reply: WireReply | undefined): readonly Buffer[] {
  if (Array.isArray(reply) && reply.every((item) => Buffer.isBuffer(item))) return reply
  throw new UnexpectedReplyError(`${client.node} answered CLUSTER GETKEYSINSLOT with ${String(reply)}`)
}
