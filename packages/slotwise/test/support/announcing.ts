import { setTimeout as sleep } from 'node:timers/promises'
import { type Key, type RedisPort, type ShardListener } from '../../src/redis/index.js'

/** One message, and when it was certainly not published yet and certainly was. */
interface Published {
  readonly startedAt: number
  readonly endedAt: number
  /** Its publisher was told so; otherwise it may have been, or not. */
  readonly acknowledged: boolean
}

interface Heard {
  readonly at: number
  readonly kind: 'message' | 'interrupted' | 'resumed'
  readonly number: number
}

/** Publishes numbers to a channel, one after the other, until it is stopped. */
export class Announcer {
  readonly channel: Key
  readonly published: Published[] = []
  readonly failures: unknown[] = []
  readonly #working: Promise<void>
  #over = false

  constructor(port: RedisPort, channel: Key) {
    this.channel = channel
    this.#working = this.#publish(port)
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#working
  }

  async #publish(port: RedisPort): Promise<void> {
    while (!this.#over) {
      const number = this.published.length
      const startedAt = performance.now()
      let acknowledged = true
      try {
        await port.call({ key: this.channel, command: ['SPUBLISH', this.channel, number] })
      } catch (error) {
        this.failures.push(error)
        acknowledged = false
      }
      this.published.push({ startedAt, endedAt: performance.now(), acknowledged })
      await sleep(2)
    }
  }
}

/** Everything that one subscriber is told, in its order. */
export class Hearer implements ShardListener {
  readonly heard: Heard[] = []

  message(payload: Buffer): void {
    this.heard.push({ at: performance.now(), kind: 'message', number: Number(payload.toString()) })
  }

  interrupted(): void {
    this.heard.push({ at: performance.now(), kind: 'interrupted', number: -1 })
  }

  resumed(): void {
    this.heard.push({ at: performance.now(), kind: 'resumed', number: -1 })
  }

  get lastNumber(): number {
    return this.heard.findLast(({ kind }) => kind === 'message')?.number ?? -1
  }

  get interruptions(): number {
    return this.heard.filter(({ kind }) => kind === 'interrupted').length
  }

  /** When it last began to hear. */
  get resumedAt(): number {
    return this.heard.findLast(({ kind }) => kind === 'resumed')?.at ?? Number.NEGATIVE_INFINITY
  }

  /** How many acknowledged messages it has missed. */
  missed(published: readonly Published[]): number {
    const numbers = new Set(this.heard.map(({ number }) => number))
    return published.filter(({ acknowledged }, number) => acknowledged && !numbers.has(number)).length
  }

  /**
   * Whatever it was told since then that goes against the promise: a number that comes twice; one that was published
   * after `resumed` and is missing although a later one was heard; a gap without a word.
   */
  violations(published: readonly Published[], since = 0): string[] {
    const found: string[] = []
    const isMissing = this.#missing(published)
    const before = new Set<number>()
    let last = -1
    let liveSince: number | undefined
    let wasInterrupted = true
    for (const [index, { at, kind, number }] of this.heard.entries()) {
      const note = (what: string) => index >= since && found.push(what)
      if (kind === 'interrupted') {
        if (liveSince === undefined) note('interrupted twice')
        liveSince = undefined
        wasInterrupted = true
      } else if (kind === 'resumed') {
        if (liveSince !== undefined) note('resumed twice')
        liveSince = at
      } else {
        if (liveSince === undefined) note(`${number} was heard while interrupted`)
        if (before.has(number)) note(`${number} came twice`)
        before.add(number)
        for (let gone = last + 1; gone < number; gone++) {
          if (!isMissing(gone)) continue
          if (!wasInterrupted) note(`${gone} is missing without a word`)
          else if ((published[gone]?.startedAt ?? 0) > (liveSince ?? 0))
            note(`${gone} is missing, published after it was said to hear again`)
        }
        last = Math.max(last, number)
        wasInterrupted = false
      }
    }
    return found
  }

  /** Missing numbers that no interruption stands for, though it be told so much later. */
  unexplained(published: readonly Published[], lateMs: number): number[] {
    const isMissing = this.#missing(published)
    const ends = this.heard.flatMap(({ kind, at }, index) => {
      if (kind !== 'interrupted') return []
      const resumed = this.heard.slice(index).find((later) => later.kind === 'resumed')
      return [{ from: at - lateMs, to: resumed?.at ?? Number.POSITIVE_INFINITY }]
    })
    return published.flatMap(({ startedAt, endedAt }, number) =>
      isMissing(number) &&
      number < this.lastNumber &&
      !ends.some(({ from, to }) => endedAt > from && startedAt < to)
        ? [number]
        : [],
    )
  }

  #missing(published: readonly Published[]): (number: number) => boolean {
    const numbers = new Set(this.heard.map(({ number }) => number))
    // Who came later has missed nothing before.
    const first = this.heard.find(({ kind }) => kind === 'message')?.number ?? 0
    return (number) => number > first && published[number]?.acknowledged === true && !numbers.has(number)
  }
}
