/** What a deadline is set for. */
export interface Timed {
  /** Past its deadline by now. Not called after {@link Deadlines.done}. */
  expired(): void
}

/** A deadline that is set; without what it is for, it is taken back. */
export interface Deadline {
  readonly at: number
  timed: Timed | undefined
}

/**
 * Deadlines of calls. Nearly all calls share one duration, so their deadlines come in the order of the calls:
 * a queue and one timer for each duration instead of a timer for each call.
 */
export class Deadlines {
  readonly #queues = new Map<
    number,
    { entries: Deadline[]; head: number; timer: NodeJS.Timeout | undefined }
  >()

  /** Sets a deadline `ms` from now. It is taken back by emptying it, which costs nothing more. */
  set(ms: number, timed: Timed, now = performance.now()): Deadline {
    const duration = Math.max(1, Math.ceil(ms))
    let queue = this.#queues.get(duration)
    if (queue === undefined) {
      queue = { entries: [], head: 0, timer: undefined }
      this.#queues.set(duration, queue)
    }
    const entry: Deadline = { at: now + duration, timed }
    queue.entries.push(entry)
    if (queue.timer === undefined) this.#arm(duration)
    return entry
  }

  #arm(duration: number): void {
    const queue = this.#queues.get(duration)
    if (queue === undefined) return
    while (queue.head < queue.entries.length && queue.entries[queue.head]?.timed === undefined) queue.head++
    // Finished entries go when they are half of the queue, so that none is moved more than once on average.
    if (queue.head > 64 && queue.head * 2 > queue.entries.length) {
      queue.entries.splice(0, queue.head)
      queue.head = 0
    }
    const next = queue.entries[queue.head]
    if (next === undefined) {
      this.#queues.delete(duration)
      return
    }
    // Looking every 50 ms while calls come and go keeps finished ones from piling up for a whole deadline.
    const wait = Math.min(Math.max(1, Math.ceil(next.at - performance.now())), 50)
    queue.timer = setTimeout(() => {
      // What has arrived while this process was busy is read first: timers come before it, immediates after.
      if (next.at <= performance.now()) setImmediate(() => this.#fire(duration))
      else this.#fire(duration)
    }, wait).unref()
  }

  #fire(duration: number): void {
    const queue = this.#queues.get(duration)
    if (queue === undefined) return
    queue.timer = undefined
    const now = performance.now()
    for (;;) {
      const entry = queue.entries[queue.head]
      if (entry === undefined || (entry.timed !== undefined && entry.at > now)) break
      queue.head++
      const { timed } = entry
      entry.timed = undefined
      timed?.expired()
    }
    this.#arm(duration)
  }

  /** Ends every timer; deadlines that are still set never come. */
  close(): void {
    for (const { timer } of this.#queues.values()) clearTimeout(timer)
    this.#queues.clear()
  }
}
