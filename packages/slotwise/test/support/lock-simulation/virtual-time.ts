interface Event {
  readonly at: number
  readonly place: number
  isOff: boolean
  readonly run: () => void
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.place < b.place)

/**
 * Time that passes only from one event to the next: nobody waits for anything. What an event sets off, promises and all, comes
 * to rest before the next.
 */
export class VirtualTime {
  /** Milliseconds since it began. */
  now = 0
  readonly #heap: Event[] = []
  #places = 0

  /** Runs it at its time, never in the past; returns how to do without. */
  at(ms: number, run: () => void): () => void {
    const event: Event = { at: Math.max(ms, this.now), place: this.#places++, isOff: false, run }
    this.#push(event)
    return () => {
      event.isOff = true
    }
  }

  after(ms: number, run: () => void): () => void {
    return this.at(this.now + ms, run)
  }

  async runUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const event = this.#pop()
      if (event === undefined) throw new Error('nothing is to happen any more, and yet it is not over')
      if (event.isOff) continue
      this.now = event.at
      event.run()
      await new Promise(setImmediate)
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || last === first) return first
    let at = 0
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]]
      if (left === undefined) break
      const isRight = right !== undefined && isBefore(right, left)
      const smaller = isRight ? right : left
      if (!isBefore(smaller, last)) break
      heap[at] = smaller
      at = 2 * at + (isRight ? 2 : 1)
    }
    heap[at] = last
    return first
  }
}
