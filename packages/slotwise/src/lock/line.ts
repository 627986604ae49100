import type { Key } from '../keys.js'
import type { RedisPort, ShardSubscription } from '../redis/port.js'
import type { Clocks } from './deadline.js'
import { CLAIM_MS } from './scripts.js'

/** How long a channel that nobody waits on any more is still heard: they come back. */
const LINGER_MS = 1000
/** So many calls are remembered, of who was called before its answer came. */
const REMEMBERED = 1024
/** How often to ask where nobody calls: no place in the line, or no channel. */
const POLL_MS = { min: 50, max: 250 }
const OWNER = 22
/** Nobody needs the lock any more. */
const EVERYBODY = '*'

/** What a waiter was told when it asked. */
export interface Waiting {
  readonly key: Key
  readonly owner: string
  /** When it asked, on the monotonic clock. */
  readonly askedAt: number
  readonly remainingMs: number
  /** 0 for none. */
  readonly place: number
  readonly leftMs: number
  readonly signal: AbortSignal | undefined
}

interface Waiter {
  wake(): void
  /** It is the first after whoever was called. */
  next(): void
}

interface Room {
  readonly waiters: Map<string, Waiter>
  readonly called: Set<string>
  /** When the channel was heard last; `undefined` while it is not. */
  heardSince: number | undefined
  hasFailed: boolean
  /** When all were called last. */
  allCalledAt: number
  subscription: ShardSubscription | undefined
  isOver: boolean
  cancelEnd: () => void
  /** One of them asks then, in case none of those who were called does. */
  cancelWatch: () => void
}

/**
 * The waiters of this process, woken by one message for each lock that changes hands. A message that is lost costs time: whoever
 * is first asks when the holder's time is over, whoever is behind it a second later for each before it. A message calls two; where
 * both are dead or gone, somebody else asks a second or two later, which calls the next two.
 */
export class Line {
  readonly #port: RedisPort
  readonly #clocks: Clocks
  readonly #rooms = new Map<Key, Room>()
  #isClosed = false

  constructor(port: RedisPort, clocks: Clocks) {
    this.#port = port
    this.#clocks = clocks
  }

  /** Resolves when it is worth to ask again, at the latest when nothing is left of its time. */
  async turn(waiting: Waiting): Promise<void> {
    const { key, owner, askedAt, remainingMs, place, leftMs, signal } = waiting
    if (this.#isClosed || signal?.aborted === true || leftMs <= 0) return
    const until = this.#clocks.monotonicMs() + leftMs
    const room = this.#room(key)
    if (room.called.delete(owner) || room.allCalledAt >= askedAt) {
      if (room.waiters.size === 0) this.#endLater(key, room)
      return
    }
    const isHeard = room.heardSince !== undefined && room.heardSince <= askedAt
    const pollMs = POLL_MS.min + Math.random() * (POLL_MS.max - POLL_MS.min)
    const nobodyCalls = place === 0 || room.hasFailed
    const atMs = nobodyCalls ? Math.min(pollMs, remainingMs) : remainingMs + (place - 1) * CLAIM_MS
    await new Promise<void>((resolve) => {
      let cancel = this.#clocks.after(Math.ceil(Math.min(atMs, leftMs)), wake)
      const leave = () => {
        cancel()
        signal?.removeEventListener('abort', wake)
        room.waiters.delete(owner)
        if (room.waiters.size === 0) this.#endLater(key, room)
      }
      function wake(): void {
        leave()
        resolve()
      }
      signal?.addEventListener('abort', wake, { once: true })
      const next = () => {
        cancel()
        const stillMs = Math.max(0, until - this.#clocks.monotonicMs())
        cancel = this.#clocks.after(Math.ceil(Math.min(CLAIM_MS, stillMs)), wake)
      }
      room.waiters.set(owner, { wake, next })
      // What was said between its request and the first that is heard is asked for again then.
      if (!isHeard && room.heardSince !== undefined) wake()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const rooms = [...this.#rooms]
    await Promise.all(rooms.map(([key, room]) => this.#end(key, room)))
  }

  #room(key: Key): Room {
    const known = this.#rooms.get(key)
    if (known !== undefined) {
      known.cancelEnd()
      return known
    }
    const room: Room = {
      waiters: new Map(),
      called: new Set(),
      heardSince: undefined,
      hasFailed: false,
      allCalledAt: Number.NEGATIVE_INFINITY,
      subscription: undefined,
      isOver: false,
      cancelEnd: () => {},
      cancelWatch: () => {},
    }
    this.#rooms.set(key, room)
    void this.#listen(key, room)
    return room
  }

  async #listen(key: Key, room: Room): Promise<void> {
    const all = () => {
      for (const waiter of room.waiters.values()) waiter.wake()
    }
    const hear = (message: string) => {
      room.cancelWatch()
      if (message !== EVERYBODY) {
        call(room, message)
        return this.#watch(room)
      }
      room.allCalledAt = this.#clocks.monotonicMs()
      all()
    }
    try {
      const subscription = await this.#port.subscribe(key, {
        message: (payload) => hear(payload.toString()),
        interrupted: () => {
          room.heardSince = undefined
        },
        resumed: () => {
          room.heardSince = this.#clocks.monotonicMs()
          all()
        },
      })
      if (room.isOver) await subscription.close()
      else room.subscription = subscription
    } catch {
      // They ask at times of their own then.
      room.hasFailed = true
      all()
    }
  }

  /** Whoever asks once the place of who was called is over has the next called, itself perhaps. Not all processes at once. */
  #watch(room: Room): void {
    room.cancelWatch = this.#clocks.after(Math.ceil(CLAIM_MS * (1 + Math.random())), () => {
      const [oldest] = room.waiters.values()
      oldest?.wake()
    })
  }

  #endLater(key: Key, room: Room): void {
    room.cancelEnd()
    room.cancelEnd = this.#clocks.after(LINGER_MS, () => void this.#end(key, room))
  }

  async #end(key: Key, room: Room): Promise<void> {
    room.cancelEnd()
    room.cancelWatch()
    room.isOver = true
    if (this.#rooms.get(key) === room) this.#rooms.delete(key)
    for (const waiter of room.waiters.values()) waiter.wake()
    await room.subscription?.close().catch(() => {})
  }
}

/** The one whose turn it is, and who comes after it. */
function call(room: Room, message: string): void {
  const [owner, after] = [message.slice(0, OWNER), message.slice(OWNER)]
  const [waiter, next] = [room.waiters.get(owner), room.waiters.get(after)]
  next?.next()
  waiter?.wake()
  // Who is asking at this moment is told when it has its answer, which may be of before: it asks once more.
  if (next === undefined && after !== '') room.called.add(after)
  if (waiter === undefined) room.called.add(owner)
  for (const oldest of room.called) {
    // The oldest go: most belong to other processes.
    if (room.called.size <= REMEMBERED) break
    room.called.delete(oldest)
  }
}
