import type { Key } from '../keys.js'
import { randomText } from '../random.js'
import type { Argument, RedisPort, Repeat, ScriptCall, Waited } from '../redis/port.js'
import { slotOf } from '../slots.js'
import acceptSource from './accept.lua.js'
import { type Convoy, type Convoyed, convoyTo } from './convoys.js'
import { isAsked, type Safety, waitOf } from './durability.js'
import type { Answer, Change } from './journal.js'
import { answersOf } from './journal-reply.js'
import { isOutOfMemory } from './memory-room.js'

/** What one script may take along: it holds up a server for no longer than some large values do. */
const MOST = { changes: 100, bytes: 64 * 2 ** 10 }

/** What all changes of one script have in common. */
export interface Sending extends Safety {
  /** Whether each of them may be sent again. */
  readonly repeat: Repeat
  readonly layout: string
  readonly deadlineMs: number | undefined
  readonly signal: AbortSignal | undefined
}

/** A change, as words of the script. */
export interface Worded {
  readonly words: readonly Argument[]
  /** By which it is known when it comes again; empty for nothing. */
  readonly mark: string
  /** Roughly. */
  readonly bytes: number
}

interface Waiting extends Worded {
  readonly resolve: (answer: Answer) => void
  readonly reject: (reason: unknown) => void
}

interface Batch {
  readonly convoy: Convoy
  readonly sending: Sending
  readonly changes: Waiting[]
  bytes: number
}

/** How much may wait in a journal. */
export interface Room {
  readonly lines: number
  readonly highWater: number
  readonly bytes: number
}

/**
 * Sends the changes of one journal that come in the same turn of the event loop by one script, in their order: most of what one
 * costs, it costs once. They go with a {@link Convoy}. One with a signal goes alone, since it may be given up alone.
 */
export class Gathering implements Convoyed {
  readonly #port: RedisPort
  readonly #key: Key
  readonly #room: Room
  readonly #slot: number
  #open: Batch | undefined

  constructor(port: RedisPort, key: Key, room: Room) {
    this.#port = port
    this.#key = key
    this.#slot = slotOf(key)
    this.#room = room
  }

  /** @throws as {@link RedisPort.call}; but a server without memory is an answer */
  add(worded: Worded, sending: Sending): Promise<Answer> {
    return new Promise((resolve, reject) => {
      // Written out, here and on the way to here: to spread what several make costs more than to send it.
      const { words, mark, bytes } = worded
      const change: Waiting = { words, mark, bytes, resolve, reject }
      const open = this.#open
      if (open !== undefined && hasRoomFor(open, change, sending)) {
        open.changes.push(change)
        open.bytes += change.bytes
        return
      }
      this.send()
      const convoy = convoyTo(this.#port, this.#slot)
      this.#open = { convoy, sending, changes: [change], bytes: change.bytes }
      if (sending.signal === undefined) convoy.join(this)
      else this.send()
    })
  }

  /** What has been gathered. */
  send(): void {
    const batch = this.#open
    if (batch === undefined) return
    this.#open = undefined
    batch.convoy.leave(this)
    void this.#send(batch)
  }

  async #send({ convoy, sending, changes }: Omit<Batch, 'bytes'>): Promise<void> {
    convoy.departed(changes.length)
    try {
      const answers = answersOf(await this.#sent(sending, changes), changes)
      for (let i = 0; i < changes.length; i++) changes[i]?.resolve(answers[i] as Answer)
    } catch (error) {
      if (!isOutOfMemory(error)) {
        for (const { reject } of changes) reject(error)
      } else if (changes.length === 1) {
        changes[0]?.resolve({ state: 'out of memory' })
      } else {
        // One that was accepted before needs no memory to be known.
        for (const change of changes) void this.#send({ convoy, sending, changes: [change] })
      }
    } finally {
      convoy.arrived(changes.length)
    }
  }

  async #sent(
    { repeat, layout, replicas, fsync, deadlineMs, signal }: Sending,
    changes: readonly Waiting[],
  ): Promise<Waited> {
    const { lines, highWater, bytes } = this.#room
    const tags = randomText(4 * changes.length)
    const args: Argument[] = [layout, lines, bytes, repeat === 'safe' ? 0 : highWater, tags]
    for (const change of changes) args.push(...change.words)
    const call: ScriptCall = { script: acceptSource, keys: [this.#key], args, repeat }
    const options = { deadlineMs, signal, binary: true }
    if (!isAsked({ replicas, fsync })) {
      return { reply: await this.#port.call(call, options), acknowledgedBy: 0, fsynced: false }
    }
    return await this.#port.writeThenWait(call, { ...options, ...waitOf({ replicas, fsync }) })
  }
}

/** A change, as words of the script that accepts it. */
export function wordsOf(name: string, change: Change): Pick<Worded, 'words' | 'bytes'> {
  if (change.kind === 'i') {
    const { field, by, from } = change
    const known = from === undefined ? ['', '', ''] : [from.value, from.bytes, from.expected]
    return { words: ['i', name, field, by, ...known], bytes: name.length + (from?.bytes.length ?? 0) }
  }
  const { kind, ifLetter } = change
  const state = kind === 's' ? [change.bytes] : []
  const bytes = name.length + (kind === 's' ? change.bytes.length : 0)
  if (ifLetter === undefined) return { words: [kind, name, ...state], bytes }
  return { words: [kind.toUpperCase(), name, ...state, ifLetter], bytes }
}

function hasRoomFor({ sending, changes, bytes }: Batch, change: Worded, asked: Sending): boolean {
  return (
    changes.length < MOST.changes &&
    bytes + change.bytes <= MOST.bytes &&
    asked.signal === undefined &&
    sending.repeat === asked.repeat &&
    sending.layout === asked.layout &&
    sending.deadlineMs === asked.deadlineMs &&
    sending.replicas === asked.replicas &&
    sending.fsync === asked.fsync
  )
}
