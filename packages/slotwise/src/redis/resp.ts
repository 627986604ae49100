import { ReplyError, UnexpectedReplyError } from '../errors.js'

/**
 * What a server answered, as it came: bulk strings as bytes, maps as flat arrays, an error within a reply as a
 * value at its place.
 */
export type WireReply = string | number | bigint | boolean | null | Buffer | ReplyError | readonly WireReply[]

/** Redis itself refuses longer strings (`proto-max-bulk-len`), and nothing Redis says in one line is this long. */
const LONGEST_BULK = 512 * 1024 * 1024
const LONGEST_LINE = 1024 * 1024

const CR = 0x0d
const LF = 0x0a

interface Aggregate {
  readonly kind: string
  readonly length: number
  readonly items: WireReply[]
}

/**
 * Reads RESP2 and RESP3 from chunks cut anywhere. Time and memory grow with what arrives, not with what a length
 * announces, and depth costs no stack.
 *
 * @throws UnexpectedReplyError from {@link RespParser.push} for anything that is not RESP; the parser is then
 * spent, since the place where the next reply begins is lost.
 */
export class RespParser {
  readonly #onReply: (reply: WireReply) => void
  readonly #onPush: (message: readonly WireReply[]) => void
  readonly #open: Aggregate[] = []
  #pieces: Buffer[] = []
  #held = 0
  #bulk: { readonly kind: string; readonly length: number } | undefined

  constructor(
    onReply: (reply: WireReply) => void,
    onPush: (message: readonly WireReply[]) => void = () => {},
  ) {
    this.#onReply = onReply
    this.#onPush = onPush
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) at = this.#bulk === undefined ? this.#line(chunk, at) : this.#body(chunk, at)
  }

  #line(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LF, at)
    this.#hold(chunk.subarray(at, end < 0 ? undefined : end))
    if (this.#held > LONGEST_LINE) throw malformed('a line without an end', this.#taken())
    if (end < 0) return chunk.length
    const line = this.#taken()
    if (line.at(-1) !== CR) throw malformed('a line that does not end in CR LF', line)
    this.#value(line.toString('latin1', 0, 1), line.subarray(1, -1))
    return end + 1
  }

  #body(chunk: Buffer, at: number): number {
    const { kind, length } = this.#bulk ?? { kind: '', length: 0 }
    const end = Math.min(chunk.length, at + length + 2 - this.#held)
    this.#hold(chunk.subarray(at, end))
    if (this.#held < length + 2) return end
    const body = this.#taken()
    if (body[length] !== CR || body[length + 1] !== LF)
      throw malformed('a string longer than it said', body.subarray(length))
    this.#bulk = undefined
    const text = body.subarray(0, length)
    if (kind === '!') this.#done(new ReplyError(text.toString()))
    // A verbatim string begins with its format, such as `txt:`.
    else this.#done(kind === '=' ? text.subarray(4) : text)
    return end
  }

  #value(kind: string, rest: Buffer): void {
    const text = rest.toString()
    if (kind === '+') return this.#done(text)
    if (kind === '-') return this.#done(new ReplyError(text))
    if (kind === ':') return this.#done(integer(text))
    if (kind === '_' && text === '') return this.#done(null)
    if (kind === '#' && (text === 't' || text === 'f')) return this.#done(text === 't')
    if (kind === ',') return this.#done(double(text))
    if (kind === '(' && /^[+-]?\d+$/.test(text)) return this.#done(BigInt(text.replace('+', '')))
    if ('$=!'.includes(kind)) {
      const length = size(text)
      if (length === -1) return this.#done(null)
      if (length > LONGEST_BULK) throw malformed('a string of impossible length', rest)
      this.#bulk = { kind, length }
      return undefined
    }
    if ('*~>%|'.includes(kind)) {
      const length = size(text)
      if (length === -1) return this.#done(null)
      const aggregate = { kind, length: kind === '%' || kind === '|' ? length * 2 : length, items: [] }
      if (length > 0) this.#open.push(aggregate)
      else if (!this.#isAside(aggregate)) this.#done([])
      return undefined
    }
    throw malformed('no type of reply', Buffer.concat([Buffer.from(kind, 'latin1'), rest]))
  }

  /** A value is whole, and with it perhaps what it stands in, and what that stands in: a loop, not a recursion. */
  #done(value: WireReply): void {
    let whole = value
    for (;;) {
      const into = this.#open.at(-1)
      if (into === undefined) return this.#onReply(whole)
      into.items.push(whole)
      if (into.items.length < into.length) return undefined
      this.#open.pop()
      if (this.#isAside(into)) return undefined
      whole = into.items
    }
  }

  /** What stands beside the replies: messages go their own way, attributes are of no interest. */
  #isAside({ kind, items }: Aggregate): boolean {
    if (kind === '>') this.#onPush(items)
    return kind === '>' || kind === '|'
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#pieces.push(bytes)
    this.#held += bytes.length
  }

  // A copy: what is handed out must not keep a whole network buffer alive.
  #taken(): Buffer {
    const taken = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#held = 0
    return taken
  }
}

function size(text: string): number {
  if (!/^(?:\d+|-1)$/.test(text)) throw malformed('a length that is no number', Buffer.from(text))
  return Number(text)
}

function integer(text: string): number | bigint {
  if (!/^[+-]?\d+$/.test(text)) throw malformed('an integer that is none', Buffer.from(text))
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text.replace('+', ''))
}

function double(text: string): number {
  if (/^[+-]?inf$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (/^-?nan$/.test(text)) return Number.NaN
  const value = Number(text)
  if (text === '' || Number.isNaN(value)) throw malformed('a number that is none', Buffer.from(text))
  return value
}

function malformed(what: string, bytes: Buffer): UnexpectedReplyError {
  const shown = JSON.stringify(bytes.toString('latin1', 0, 60))
  return new UnexpectedReplyError(`this is not the protocol of Redis: ${what}: ${shown}`)
}

/** One command as it goes over the wire. */
export function encodeCommand(command: readonly (string | number | bigint | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${command.length}\r\n`)]
  for (const argument of command) {
    const bytes = argument instanceof Uint8Array ? argument : Buffer.from(String(argument))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
