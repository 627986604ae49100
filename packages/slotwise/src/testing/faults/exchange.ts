import { RespParser } from '../../redis/resp.js'

/**
 * Which reply answers which command, on one connection. It reads what Redis and its clients usually say: not TLS, not
 * inline commands, not the several answers of one SUBSCRIBE. What it cannot read it knows nothing of.
 */
export class Exchange {
  readonly #unanswered: string[] = []
  readonly #answered: string[] = []
  readonly #requests = readerOf((request) => {
    const name = Array.isArray(request) ? String(request[0]) : ''
    this.#unanswered.push(name.toUpperCase())
  })
  readonly #replies = readerOf(() => {
    const name = this.#unanswered.shift()
    if (name !== undefined) this.#answered.push(name)
  })

  asked(chunk: Buffer): void {
    this.#requests(chunk)
  }

  /** Names of the commands whose answers end in this chunk. */
  answered(chunk: Buffer): readonly string[] {
    this.#replies(chunk)
    return this.#answered.splice(0)
  }
}

function readerOf(onValue: (value: unknown) => void): (chunk: Buffer) => void {
  const parser = new RespParser(onValue)
  let readable = true
  return (chunk) => {
    if (!readable) return
    try {
      parser.push(chunk)
    } catch {
      readable = false
    }
  }
}
