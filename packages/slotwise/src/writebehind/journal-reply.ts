import { UnexpectedReplyError } from '../errors.js'
import type { Reply, Waited } from '../redis/port.js'
import type { Answer, Line, State, Taken, TakenRow, Waiting } from './journal.js'

/** What became of so many changes of one script. */
export function answersOf(
  { reply, acknowledgedBy, fsynced }: Waited,
  changes: readonly { readonly mark: string }[],
): readonly Answer[] {
  const [first, ...answers] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (first === 0) return changes.map(() => ({ state: 'foreign' }))
  if (typeof first !== 'number' || answers.length !== changes.length) {
    throw new UnexpectedReplyError('changes of rows were answered with something else')
  }
  return changes.map(({ mark }, i) => {
    const given = answers[i]
    const [number, value] = acceptedOf(given)
    if (number === undefined) return refusalOf(given)
    return { state: 'accepted', number, value, place: number - first + 1, mark, acknowledgedBy, fsynced }
  })
}

/** The line, and of a counter its value. */
function acceptedOf(answer: Reply | undefined): readonly [number?, number?] {
  if (typeof answer === 'number') return [answer]
  const [kind, number, value] = Array.isArray(answer) ? (answer as readonly Reply[]) : []
  if (kind !== 1 || typeof number !== 'number') return []
  return Buffer.isBuffer(value) && value.length > 0 ? [number, Number(value.toString('latin1'))] : [number]
}

function refusalOf(answer: Reply | undefined): Answer {
  const [kind, first, second, third] = Array.isArray(answer) ? (answer as readonly Reply[]) : []
  if (kind === 0) {
    const ms = Number(third) < 0 ? undefined : Number(third)
    return { state: 'full', lines: Number(first), bytes: Number(second), ms }
  }
  if (kind === 2 && Buffer.isBuffer(first)) {
    return { state: 'unknown', expected: first, waiting: stateOf(second) }
  }
  if (kind === 3) return { state: 'out of range' }
  if (kind === 4) return { state: 'too many counters' }
  throw new UnexpectedReplyError('a change of a row was answered with something else')
}

const TAG = 8
const [DELETED, SET, COUNTED] = ['d', 's', 'c'].map((kind) => kind.charCodeAt(0))
const NO_COUNTERS: ReadonlyMap<string, number> = new Map()

/** What waits of a row, as it lies in the hash. */
export function rowOf(reply: Reply | undefined): State | undefined {
  return Buffer.isBuffer(reply) ? stateOf(reply, TAG) : undefined
}

/** The same behind so many bytes. */
function stateOf(row: Reply | undefined, from = 0): State | undefined {
  if (!Buffer.isBuffer(row) || row.length <= from) return undefined
  const kind = row[from]
  if (kind === DELETED) return { bytes: undefined, counters: NO_COUNTERS }
  if (kind === SET) return { bytes: row.subarray(from + 1), counters: NO_COUNTERS }
  if (kind !== COUNTED) throw new UnexpectedReplyError('a row was answered with something else')
  const start = from + 5
  const ends = start + Number(row.toString('latin1', from + 1, start))
  return { bytes: row.subarray(ends), counters: countersOf(row.subarray(start, ends)) }
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

export function waitingOf(reply: Reply): Waiting {
  const [first, last, bytes, ms] = Array.isArray(reply) ? (reply as readonly Reply[]).map(Number) : []
  if (first === undefined || last === undefined || bytes === undefined || ms === undefined) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { first, last, bytes, ms }
}

export function takenOf(reply: Reply): Taken {
  const [goesOn, from, number, tag, last, latest, first, bytes, ms, letters, given, ...words] = Array.isArray(
    reply,
  )
    ? (reply as readonly Reply[])
    : []
  const withLetters = new Set((Array.isArray(given) ? (given as readonly Reply[]) : []).map(String))
  const rows: TakenRow[] = []
  for (let i = 0; i < words.length; i += 2) {
    const [name, row] = [String(words[i]), words[i + 1]]
    const waiting = rowOf(row)
    if (waiting === undefined || !Buffer.isBuffer(row)) continue
    rows.push({ name, waiting, tag: row.toString('latin1', 0, TAG), hasLetter: withLetters.has(name) })
  }
  return {
    isSafe: true,
    goesOn: goesOn === 1,
    from: Number(from),
    first: Number(first),
    to: { written: lineOf(number, tag), seen: lineOf(last, latest) },
    rows,
    bytes: Number(bytes),
    ms: Number(ms),
    letters: Number(letters),
  }
}

export function lineOf(number: Reply | undefined, tag: Reply | undefined): Line {
  if (typeof number !== 'number' || !Buffer.isBuffer(tag)) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { number, tag: tag.toString('latin1') }
}
