import type { Socket } from 'node:net'

/** Which way bytes go through a proxy. */
export type Direction = 'toServer' | 'toClient' | 'both'

/** `'hold'` keeps bytes for later, `'drop'` loses them for good. */
export type Passage = 'pass' | 'hold' | 'drop'

/** Bytes that wait for their time; without a chunk, the end of the stream. */
interface Waiting {
  readonly at: number
  readonly chunk: Buffer | undefined
}

/** As much as waits here while bytes are delayed; beyond that the sender is slowed down. */
const MOST_WAITING = 4 * 1024 * 1024

/** One direction of a connection. The order of bytes is kept whatever happens to them. */
export class Flow {
  /**
   * Bytes, or news of the end, were lost. TCP never goes on behind a gap, so neither may this: the rest of the
   * stream would be read as something else than it is.
   */
  broken = false
  passed = 0
  dropped = 0
  readonly #from: Socket
  readonly #to: Socket
  readonly #looksAt: (chunk: Buffer) => boolean
  #passage: Passage = 'pass'
  #delayMs = 0
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #isFull = false

  /** `looksAt` sees every chunk that is to pass, and says whether it may. */
  constructor(from: Socket, to: Socket, looksAt: (chunk: Buffer) => boolean = () => true) {
    this.#from = from
    this.#to = to
    this.#looksAt = looksAt
    from.on('data', (chunk: Buffer) => this.#take(chunk))
    from.on('end', () => this.#take(undefined))
    to.on('drain', () => {
      this.#isFull = false
      this.#flush()
    })
  }

  set delayMs(ms: number) {
    this.#delayMs = ms
  }

  set passage(passage: Passage) {
    this.#passage = passage
    if (passage === 'drop') {
      for (const { chunk } of this.#waiting) this.#lose(chunk)
      this.#waiting = []
      this.#waitingBytes = 0
    }
    this.#flush()
  }

  get isOpen(): boolean {
    return this.#passage === 'pass'
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#waiting = []
  }

  #take(chunk: Buffer | undefined): void {
    if (this.#passage === 'drop') return this.#lose(chunk)
    if (chunk !== undefined && !this.#looksAt(chunk)) return this.#lose(chunk)
    this.#waiting.push({ at: performance.now() + this.#delayMs, chunk })
    this.#waitingBytes += chunk?.length ?? 0
    this.#flush()
  }

  #lose(chunk: Buffer | undefined): void {
    this.broken = true
    this.dropped += chunk?.length ?? 0
  }

  #flush(): void {
    clearTimeout(this.#timer)
    while (this.#passage === 'pass' && !this.#isFull) {
      const next = this.#waiting[0]
      if (next === undefined) break
      const ms = next.at - performance.now()
      if (ms > 0) {
        this.#timer = setTimeout(() => this.#flush(), Math.ceil(ms)).unref()
        break
      }
      this.#waiting.shift()
      this.#pass(next.chunk)
    }
    this.#regulate()
  }

  #pass(chunk: Buffer | undefined): void {
    if (chunk === undefined) {
      this.#to.end()
      return
    }
    this.#waitingBytes -= chunk.length
    if (!this.#to.writable) return this.#lose(chunk)
    this.passed += chunk.length
    this.#isFull = !this.#to.write(chunk)
  }

  /** What is not read stays with the sender's system, as it does when a network holds it up. */
  #regulate(): void {
    const tooMuch = this.#passage === 'pass' && (this.#isFull || this.#waitingBytes > MOST_WAITING)
    if (this.#passage === 'hold' || tooMuch) this.#from.pause()
    else if (this.#from.isPaused()) this.#from.resume()
  }
}
