import { UnexpectedReplyError } from '../errors.js'
import type { Reply } from '../redis/port.js'
import type { Answer, Line, State, Taken, Waiting } from './journal.js'

const UNWAITED = { mark: '', acknowledgedBy: 0, fsynced: false } as const

export function answerOf(reply: Reply): Answer {
  const [kind, first, second, third] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (kind === 1 && typeof first === 'number') {
    // Empty, but of a counter.
    const value = Buffer.isBuffer(second) && second.length > 0 ? Number(second.toString('latin1')) : undefined
    return { ...UNWAITED, state: 'accepted', number: first, value, place: Number(third) }
  }
  if (kind === 0) {
    const ms = Number(third) < 0 ? undefined : Number(third)
    return { state: 'full', lines: Number(first), bytes: Number(second), ms }
  }
  if (kind === 2 && Buffer.isBuffer(first)) {
    return { state: 'unknown', expected: first, waiting: stateOf([second ?? '']) }
  }
  if (kind === 3) return { state: 'out of range' }
  if (kind === 4) return { state: 'too many counters' }
  if (kind === 5) return { state: 'foreign' }
  throw new UnexpectedReplyError('a change of a row was answered with something else')
}

/** Of its bytes and counters, as they lie in the hash; each may be missing. */
export function stateOf(reply: Reply): State | undefined {
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

export function waitingOf(reply: Reply): Waiting {
  const [first, last, bytes, ms] = Array.isArray(reply) ? (reply as readonly Reply[]).map(Number) : []
  if (first === undefined || last === undefined || bytes === undefined || ms === undefined) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { first, last, bytes, ms }
}

export function takenOf(reply: Reply): Taken {
  const [goesOn, from, number, tag, last, latest, first, bytes, ms, letters, ...rows] = Array.isArray(reply)
    ? (reply as readonly Reply[])
    : []
  return {
    isSafe: true,
    goesOn: goesOn === 1,
    from: Number(from),
    first: Number(first),
    to: { written: lineOf(number, tag), seen: lineOf(last, latest) },
    rows: rows.flatMap((row) => {
      const [name, state, counters, its, hasLetter] = Array.isArray(row) ? (row as readonly Reply[]) : []
      const found = stateOf([state ?? '', counters ?? ''])
      if (found === undefined || !Buffer.isBuffer(its)) return []
      return [{ name: String(name), waiting: found, tag: its, hasLetter: hasLetter === 1 }]
    }),
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
