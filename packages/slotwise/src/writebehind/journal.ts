import { BatchFencedError } from '../errors.js'
import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import { randomTag } from '../random.js'
import type { CommandCall, RedisPort, Reply, ScriptCall, Waited } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import { isAsked, type Safety, waitOf } from './durability.js'
import { Gathering, wordsOf } from './gathering.js'
import { rowOf, takenOf, waitingOf } from './journal-reply.js'
import lagSource from './lag.lua.js'
import takeSource from './take.lua.js'
import trimSource from './trim.lua.js'

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

/** A change of a row; of a dead letter only while nothing waits of its row and there is no other. */
export type Change =
  | { readonly kind: 's'; readonly bytes: Uint8Array | string; readonly ifLetter?: Buffer }
  | { readonly kind: 'd'; readonly ifLetter?: Buffer }
  | { readonly kind: 'i'; readonly field: string; readonly by: number; readonly from?: Start | undefined }

/** What a counter was before, and on what that rests. */
export interface Start {
  readonly value: number
  /** What the row was. */
  readonly bytes: Uint8Array | string
  readonly expected: Buffer
}

/** What becomes of a change. */
export type Answer =
  | {
      readonly state: 'accepted'
      readonly number: number
      readonly value: number | undefined
      /** How many lines wait, up to this one. */
      readonly place: number
      /** What it is known by, in {@link Journal.firstWith}; empty for nothing. */
      readonly mark: string
      readonly acknowledgedBy: number
      readonly fsynced: boolean
    }
  | {
      readonly state: 'full'
      readonly lines: number
      readonly bytes: number
      /** Until there may be room, in milliseconds; `undefined` if that is not known. */
      readonly ms: number | undefined
    }
  /** The memory of the server is. */
  | { readonly state: 'out of memory' }
  /** Something waits of the row, or it has to be known what the counter was. What waits is told. */
  | { readonly state: 'unknown'; readonly expected: Buffer; readonly waiting: State | undefined }
  | { readonly state: 'out of range' }
  | { readonly state: 'too many counters' }
  /** The journal belongs to another layout than the one given, or to none at the moment. */
  | { readonly state: 'foreign' }

/** What was looked at. */
export interface Looked {
  /** What waits of the row; `undefined` if nothing does. */
  readonly waiting: State | undefined
  /** To which layout the journal belongs, as `tokenOf` has it, or with `>` before the one that comes; `undefined` for none yet. */
  readonly belongsTo: string | undefined
}

/** How much may wait in a journal, and how long a mark is known. */
export interface JournalBounds {
  readonly lines: number
  /** Beyond so many, whoever adds one waits until it is written, and so it gets a mark. @defaultValue `lines` */
  readonly highWater?: number
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

/** A row as it is now. */
export interface TakenRow {
  readonly name: string
  readonly waiting: State
  /** Of its last line, as text. */
  readonly tag: string
  /** Whether it was given up before. */
  readonly hasLetter: boolean
}

/**
 * Who flushes: `e` and the number of a claim in a database, or, where no database counts them, `t` and the token of a lease.
 * Of each kind the highest that has read lines is known to the journal.
 */
export type Owner = `e${bigint}` | `t${bigint}`

/** What was read of a journal. */
export interface Taken {
  /** Whether it goes on from the position; else these are the first lines of all that there is. */
  readonly goesOn: boolean
  readonly from: number
  /** The first line that is there. */
  readonly first: number
  /** Once the rows are written; the end of the journal if there were no lines. */
  readonly to: Position
  readonly rows: readonly TakenRow[]
  /** What the journal takes. */
  readonly bytes: number
  /** Since when the first of the lines waits, in milliseconds; 0 if there were none. */
  readonly ms: number
  /** How many rows have been given up. */
  readonly letters: number
  /** It is as safe as was asked for. */
  readonly isSafe: boolean
}

/** How safe it has to be once it is there. */
type JournalCallOptions = CallOptions & Partial<Safety>

/** How a change is accepted. */
export type AcceptOptions = JournalCallOptions & {
  /** For how long its caller waits until it is written. @defaultValue not at all */
  readonly patienceMs?: number
  /** The one that the caller knows. @defaultValue whichever */
  readonly layout?: string
}

/** The journal of one partition: one key, and so one step for each of these, also while its slot moves. */
export class Journal {
  readonly port: RedisPort
  readonly key: Key
  readonly #bounds: JournalBounds
  readonly #gathering: Gathering

  constructor(port: RedisPort, key: Key, bounds: JournalBounds) {
    this.port = port
    this.key = key
    this.#bounds = bounds
    this.#gathering = new Gathering(port, key, { highWater: bounds.lines, ...bounds })
  }

  /** The new state and its line, or neither. */
  accept(
    name: string,
    change: Change,
    given: string | undefined,
    options: AcceptOptions = {},
  ): Promise<Answer> {
    const { patienceMs = 0, layout = '', replicas = 0, fsync = false, deadlineMs, signal } = options
    const { lines, highWater = lines, markMs } = this.#bounds
    const mark = given ?? (highWater < lines ? randomTag(12).toString('base64url') : '')
    const { words, bytes } = wordsOf(name, change)
    // It has to be there for as long as somebody asks for it.
    const knownMs = Math.max(given === undefined ? 0 : markMs, 2 * patienceMs)
    const marked = mark === '' ? words : ['m', mark, knownMs, ...words]
    return this.#gathering.add(
      { words: marked, mark, bytes },
      {
        // Sent again after an unknown outcome, a change could undo one that came later; with a mark it is known when it comes again.
        repeat: given === undefined ? 'unsafe' : 'safe',
        layout,
        replicas,
        fsync,
        deadlineMs,
        signal,
      },
    )
  }

  /** The first line that is there, and which of the marks are known; all at one moment. */
  async firstWith(
    marks: readonly string[],
    options: CallOptions = {},
  ): Promise<{ readonly number: number; readonly has: readonly boolean[] }> {
    const command = ['HMGET', this.key, 'f', ...marks.map((mark) => `m${mark}`)] as const
    const reply = await this.port.call({ key: this.key, command, repeat: 'safe' }, options)
    const [first, ...known] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
    return { number: Number(first ?? 1), has: marks.map((_, i) => (known[i] ?? null) !== null) }
  }

  async look(name: string, options: CallOptions): Promise<Looked> {
    return lookedOf(await this.port.call(this.lookCall(name), { ...options, binary: true }))
  }

  /** The call of {@link Journal.look}, for {@link lookAll}. */
  lookCall(name: string): CommandCall {
    return { key: this.key, command: ['HMGET', this.key, `s${name}`, 'p'], repeat: 'safe' }
  }

  async waiting(options: CallOptions): Promise<Waiting> {
    return await waiting.run(this.port, { partition: this.key }, {}, options)
  }

  /** What is to be written next, after the position; as safe as is asked for, or once that has taken too long. */
  async take(
    { written, seen }: Position,
    most: number,
    { owner = 't0', ...options }: JournalCallOptions & { readonly owner?: Owner },
  ): Promise<Taken> {
    const safety = { replicas: options.replicas ?? 0, fsync: options.fsync ?? false }
    const args = {
      number: written.number,
      tag: Buffer.from(written.tag, 'latin1'),
      seen_number: seen.number,
      seen_tag: Buffer.from(seen.tag, 'latin1'),
      most,
      owner,
      write: isAsked(safety) ? 1 : 0,
    }
    const { reply, acknowledgedBy, fsynced } = await this.#sent(
      take.call({ partition: this.key }, args),
      options,
    )
    return { ...take.decode(reply), isSafe: acknowledgedBy >= safety.replicas && (fsynced || !safety.fsync) }
  }

  /**
   * Everything up to the position has been written. How many lines are gone.
   *
   * @throws BatchFencedError a later one flushes, and no database knows
   */
  async trim(
    { written: { number, tag } }: Position,
    { owner = 't0', ...options }: CallOptions & { readonly owner?: Owner },
  ): Promise<number> {
    const args = { to: number, tag: Buffer.from(tag, 'latin1'), fresh: randomTag(8), owner }
    const removed = await trim.run(this.port, { partition: this.key }, args, options)
    if (removed < 0) throw new BatchFencedError('another flusher has the partition')
    return removed
  }

  async #sent(
    call: ScriptCall,
    { replicas = 0, fsync = false, ...rest }: JournalCallOptions,
  ): Promise<Waited> {
    const options = { ...rest, binary: true }
    if (!isAsked({ replicas, fsync })) {
      return { reply: await this.port.call(call, options), acknowledgedBy: 0, fsynced: false }
    }
    return await this.port.writeThenWait(call, { ...options, ...waitOf({ replicas, fsync }) })
  }
}

/** What waits of many rows, of any journals, in the order of the calls: one round trip a node. */
export async function lookAll(
  port: RedisPort,
  calls: readonly CommandCall[],
  options: CallOptions,
): Promise<readonly Looked[]> {
  const results = await port.pipeline(calls, { ...options, binary: true })
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return lookedOf(result.value)
  })
}

function lookedOf(reply: Reply): Looked {
  const [row, belongsTo] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  return { waiting: rowOf(row), belongsTo: Buffer.isBuffer(belongsTo) ? belongsTo.toString() : undefined }
}

export function isSame(a: Position, b: Position): boolean {
  return (['written', 'seen'] as const).every(
    (line) => a[line].number === b[line].number && a[line].tag === b[line].tag,
  )
}
