interface Due<W> {
  readonly what: W
  readonly at: number
}

/** Things to do after one of a few delays, at most so many at a time. */
export class Agenda<W> {
  readonly #maxConcurrent: number
  readonly #act: (what: W, lateMs: number) => Promise<void>
  /** By delay; what was planned first is due first. */
  readonly #queues = new Map<number, Due<W>[]>()
  #underWay = 0
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #isClosed = false

  /** @param act never rejects */
  constructor(maxConcurrent: number, act: (what: W, lateMs: number) => Promise<void>) {
    this.#maxConcurrent = maxConcurrent
    this.#act = act
  }

  plan(what: W, delayMs: number): void {
    if (this.#isClosed) return
    let queue = this.#queues.get(delayMs)
    if (queue === undefined) this.#queues.set(delayMs, (queue = []))
    const at = performance.now() + delayMs
    queue.push({ what, at })
    this.#wake(at)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#queues.clear()
  }

  #wake(at: number): void {
    if (at >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = at
    this.#timer = setTimeout(() => this.#begin(), Math.max(1, at - performance.now())).unref()
  }

  #begin(): void {
    this.#dueAt = Infinity
    // Whoever ends goes on with what is due.
    while (this.#underWay < this.#maxConcurrent) {
      const queue = this.#next()
      const due = queue?.[0]
      if (due === undefined) return
      // A timer may be a little early.
      if (performance.now() < due.at) return this.#wake(due.at)
      queue?.shift()
      void this.#run(due)
    }
  }

  #next(): Due<W>[] | undefined {
    let found: Due<W>[] | undefined
    for (const queue of this.#queues.values()) {
      const at = queue[0]?.at
      if (at !== undefined && at < (found?.[0]?.at ?? Infinity)) found = queue
    }
    return found
  }

  async #run({ what, at }: Due<W>): Promise<void> {
    this.#underWay++
    await this.#act(what, performance.now() - at)
    this.#underWay--
    if (!this.#isClosed) this.#begin()
  }
}
