import { randomBytes } from 'node:crypto'
import { UnexpectedReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort, Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import acceptSource from './accept.lua.js'
import lagSource from './lag.lua.js'
import takeSource from './take.lua.js'
import trimSource from './trim.lua.js'

/** Sent again after an unknown outcome, it could undo a change that came later. */
const accept = defineScript(acceptSource, { repeat: 'unsafe', decode: answerOf })
/** With a mark it is known when it comes again. */
const acceptOnce = defineScript(acceptSource, { repeat: 'safe', decode: answerOf })
const waiting = defineScript(lagSource, { repeat: 'safe', decode: waitingOf })
const take = defineScript(takeSource, { repeat: 'safe', decode: takenOf })
const trim = defineScript(trimSource, { repeat: 'safe', decode: Number })

/** A line of a journal: after a failover the same number may be another one, and has another tag. */
export interface Line {
  readonly number: number
  /** 8 random bytes, as text. */
  readonly tag: string
}

/** What a database has of a journal. */
export interface Position {
  /** Up to this line everything was written. */
  readonly written: Line
  /** Rows that had changed again were written as they were here, the last line that there was. */
  readonly seen: Line
}

const NO_LINE: Line = { number: 0, tag: '\0'.repeat(8) }

/** Before the first line. */
export const NOWHERE: Position = { written: NO_LINE, seen: NO_LINE }

/** What waits of a row. */
export interface State {
  /** `undefined` if it is to be deleted. */
  readonly bytes: Buffer | undefined
  /** They count in the place of what the bytes say. */
  readonly counters: ReadonlyMap<string, number>
}

/** A change of a row. */
export type Change =
  | { readonly kind: 's'; readonly bytes: Uint8Array; readonly ifIdle?: boolean }
  | { readonly kind: 'd'; readonly ifIdle?: boolean }
  | { readonly kind: 'i'; readonly field: string; readonly by: number; readonly from?: Start | undefined }

/** What a counter was before, and on what that rests. */
export interface Start {
  readonly value: number
  /** What the row was. */
  readonly bytes: Uint8Array
  readonly expected: Buffer
}

/** What becomes of a change. */
export type Answer =
  | {
      readonly state: 'accepted'
      readonly number: number
      readonly value: number | undefined
      /** How many replicas have it, where that was asked. */
      readonly acknowledgedBy?: number
    }
  | { readonly state: 'full'; readonly lines: number; readonly bytes: number }
  /** Something waits of the row, or it has to be known what the counter was. What waits is told. */
  | { readonly state: 'unknown'; readonly expected: Buffer; readonly waiting: State | undefined }
  | { readonly state: 'out of range' }
  | { readonly state: 'too many counters' }
  /** The journal belongs to another layout than the one given, or to none at the moment. */
  | { readonly state: 'foreign' }

/** How much may wait in a journal, and how long a mark is known. */
export interface JournalBounds {
  readonly lines: number
  readonly bytes: number
  readonly markMs: number
}

/** What waits in a journal: the lines from the first to the last; none if the first is behind the last. */
export interface Waiting {
  readonly first: number
  readonly last: number
  readonly bytes: number
  /** Since when the oldest of it waits, in milliseconds. */
  readonly ms: number
}

/** What was read of a journal. */
export interface Taken {
  /** Whether it goes on from the position; else these are the first lines of all that there is. */
  readonly goesOn: boolean
  readonly from: number
  /** The first line that is there. */
  readonly first: number
  /** Once the rows are written; the end of the journal if there were no lines. */
  readonly to: Position
  readonly rows: readonly { readonly name: string; readonly waiting: State }[]
  /** As many replicas as were asked for have all that was read. */
  readonly isReplicated?: boolean
}

/** The journal of one partition: one key, and so one step for each of these, also while its slot moves. */
export class Journal {
  readonly port: RedisPort
  readonly key: Key
  readonly #bounds: JournalBounds

  constructor(port: RedisPort, key: Key, bounds: JournalBounds) {
    this.port = port
    this.key = key
    this.#bounds = bounds
  }

  /** The new state and its line, or neither. */
  async accept(
    name: string,
    change: Change,
    mark: string | undefined,
    options: CallOptions & { readonly replicas?: number; readonly layout?: string },
  ): Promise<Answer> {
    const { lines, bytes, markMs } = this.#bounds
    const { replicas = 0, layout = '', ...rest } = options
    const from = change.kind === 'i' ? change.from : undefined
    const script = mark === undefined ? accept : acceptOnce
    const call = script.call(
      { partition: this.key },
      {
        kind: change.kind,
        id: name,
        tag: randomBytes(8),
        bytes: change.kind === 's' ? change.bytes : (from?.bytes ?? ''),
        field: change.kind === 'i' ? change.field : '',
        by: change.kind === 'i' ? change.by : 0,
        start: from?.value ?? (change.kind !== 'i' && change.ifIdle === true ? 'idle' : ''),
        expected: from?.expected ?? '',
        entries: lines,
        size: bytes,
        mark: mark ?? '',
        mark_ms: markMs,
        layout,
      },
    )
    if (replicas === 0) return script.decode(await this.port.call(call, { ...rest, binary: true }))
    const { reply, acknowledgedBy } = await this.port.writeThenWait(call, { ...rest, binary: true, replicas })
    const answer = script.decode(reply)
    return answer.state === 'accepted' ? { ...answer, acknowledgedBy } : answer
  }

  /** What waits of a row; `undefined` if nothing does. */
  async look(name: string, options: CallOptions): Promise<State | undefined> {
    const command = ['HMGET', this.key, `s${name}`, `n${name}`] as const
    const call = { key: this.key, command, repeat: 'safe' } as const
    return stateOf(await this.port.call(call, { ...options, binary: true }))
  }

  async waiting(options: CallOptions): Promise<Waiting> {
    return await waiting.run(this.port, { partition: this.key }, {}, options)
  }

  /** What is to be written next, after the position; with `replicas`, once so many have it or that has taken too long. */
  async take(
    { written, seen }: Position,
    most: number,
    options: CallOptions & { readonly replicas?: number },
  ): Promise<Taken> {
    const args = {
      number: written.number,
      tag: Buffer.from(written.tag, 'latin1'),
      seen_number: seen.number,
      seen_tag: Buffer.from(seen.tag, 'latin1'),
      most,
    }
    const call = take.call({ partition: this.key }, args)
    const { replicas = 0, ...rest } = options
    if (replicas === 0) return take.decode(await this.port.call(call, { ...rest, binary: true }))
    const { reply, acknowledgedBy } = await this.port.writeThenWait(call, { ...rest, binary: true, replicas })
    return { ...take.decode(reply), isReplicated: acknowledgedBy >= replicas }
  }

  /** Everything up to the position has been written. How many lines are gone. */
  async trim({ written: { number, tag } }: Position, options: CallOptions): Promise<number> {
    const args = { to: number, tag: Buffer.from(tag, 'latin1'), fresh: randomBytes(8) }
    return await trim.run(this.port, { partition: this.key }, args, options)
  }
}

function answerOf(reply: Reply): Answer {
  const [kind, first, second] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (kind === 1 && typeof first === 'number') {
    const value = String(second ?? '')
    return { state: 'accepted', number: first, value: value === '' ? undefined : Number(value) }
  }
  if (kind === 0) return { state: 'full', lines: Number(first), bytes: Number(second) }
  if (kind === 2 && Buffer.isBuffer(first)) {
    return { state: 'unknown', expected: first, waiting: stateOf([second ?? '']) }
  }
  if (kind === 3) return { state: 'out of range' }
  if (kind === 4) return { state: 'too many counters' }
  if (kind === 5) return { state: 'foreign' }
  throw new UnexpectedReplyError('a change of a row was answered with something else')
}

/** Of its bytes and counters, as they lie in the hash; each may be missing. */
function stateOf(reply: Reply): State | undefined {
  const [state, counters] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (!Buffer.isBuffer(state) || state.length === 0) return undefined
  return {
    bytes: state[0] === DELETED ? undefined : state.subarray(1),
    counters: Buffer.isBuffer(counters) ? countersOf(counters) : new Map(),
  }
}

/** Names and values in turn, each behind its length. */
function countersOf(bytes: Buffer): ReadonlyMap<string, number> {
  const words: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const ends = at + 1 + (bytes[at] ?? 0)
    words.push(bytes.toString('utf8', at + 1, ends))
    at = ends
  }
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, Number(words[i + 1])] as const] : [])))
}

const DELETED = 'd'.charCodeAt(0)

function waitingOf(reply: Reply): Waiting {
  const [first, last, bytes, ms] = Array.isArray(reply) ? (reply as readonly Reply[]).map(Number) : []
  if (first === undefined || last === undefined || bytes === undefined || ms === undefined) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { first, last, bytes, ms }
}

function takenOf(reply: Reply): Taken {
  const [goesOn, from, number, tag, last, latest, first, ...rows] = Array.isArray(reply)
    ? (reply as readonly Reply[])
    : []
  return {
    goesOn: goesOn === 1,
    from: Number(from),
    first: Number(first),
    to: { written: lineOf(number, tag), seen: lineOf(last, latest) },
    rows: rows.flatMap((row) => {
      const [name, ...state] = Array.isArray(row) ? (row as readonly Reply[]) : []
      const found = stateOf(state)
      return found === undefined ? [] : [{ name: String(name), waiting: found }]
    }),
  }
}

function lineOf(number: Reply | undefined, tag: Reply | undefined): Line {
  if (typeof number !== 'number' || !Buffer.isBuffer(tag)) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { number, tag: tag.toString('latin1') }
}

export function isSame(a: Position, b: Position): boolean {
  return (['written', 'seen'] as const).every(
    (line) => a[line].number === b[line].number && a[line].tag === b[line].tag,
  )
}
