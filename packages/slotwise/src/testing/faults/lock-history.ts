import { ConfigurationError } from '../../errors.js'
import { oneOf, shown } from '../../options.js'
import type { LockCall, LockEnd, LockEvent, LockExtension, LockGrant, LockWrite } from './lock-events.js'
import { serviceOf } from './lock-service.js'

/** What a history can be at odds with. */
export type LockViolationKind =
  /** A lock that is to give tokens gave none. */
  | 'no-token'
  /** Two holders were given one token. */
  | 'token-shared'
  /** Who came later got no larger token. */
  | 'token-order'
  /** A write was accepted after one with a larger token. */
  | 'stale-write'
  /** Accepted writes of a holder go on after somebody else's. */
  | 'interleaved'
  /** A write was accepted from somebody who had not been given the lock, or not this token. */
  | 'not-granted'
  /** A holder was given more time when its time was over. */
  | 'revived'
  /** Two believed to hold the lock at a time. */
  | 'overlap'

/** Something that a lock must not do, and the events that show it. */
export interface LockViolation {
  readonly kind: LockViolationKind
  readonly resource: string
  /** For people. */
  readonly message: string
  readonly events: readonly LockEvent[]
}

/** What {@link checkLockHistory} found. */
export interface LockVerdict {
  /** Nothing is violated. */
  readonly ok: boolean
  readonly violations: readonly LockViolation[]
  /** How often the lock was given. */
  readonly grants: number
  /** Writes that were accepted. */
  readonly writes: number
  /** How often somebody got it before somebody else who had asked earlier; 0 where it is first come first served. */
  readonly overtakings: number
  /** By how many the one was overtaken who was overtaken by most. */
  readonly mostOvertaken: number
}

/** What a history is checked for. */
export interface LockHistoryOptions {
  /**
   * `'effects'`: whoever may believe to hold the lock, accepted writes are those of one holder after the other.
   * `'holders'`: also, no two believe to hold it at a time. A lock can promise that only as long as no server forgets one that
   * is held. @defaultValue `'effects'`
   */
  readonly exclusion?: 'effects' | 'holders' | undefined
  /** Whether the lock gives tokens; those of locks that have none are not asked for. @defaultValue `true` */
  readonly fencing?: boolean | undefined
}

/** One call of `acquire`, and what came of it. */
interface Hold {
  readonly call: LockCall
  grant: LockGrant | undefined
  /** The holder believes to hold it from its grant up to here. */
  until: number
  latest: LockEvent
  isOver: boolean
  /** Re-entered: the hold that this one is part of. */
  outer: Hold | undefined
}

type Granted = Hold & { grant: LockGrant }
type Report = (kind: LockViolationKind, message: string, ...events: LockEvent[]) => void

/**
 * Whether a history of a lock is one that a fenced lock may have: each holder's token is larger than those of all who had been
 * given the lock before it asked, no two have the same, the tokens of accepted writes never go back, and accepted writes of
 * one holder do not go on after another's.
 *
 * Calls that never returned and writes that nobody heard of may or may not have happened: nothing is held against them. Events
 * may stand in any order, but those of one hold in theirs, and the writes of one resource in the order of its decisions. Where
 * two times are the same, neither is first. Takes O(n log n). A history without a violation proves nothing about the next.
 *
 * @throws ConfigurationError it is none: an event of a hold that never called, two grants of one hold, time that goes back
 * @example
 * ```ts
 * import { checkLockHistory } from 'slotwise/testing/faults'
 *
 * const verdict = checkLockHistory([
 *   { kind: 'acquire', at: 0, hold: 1, resource: 'invoice', client: 'ann' },
 *   { kind: 'acquired', at: 2, hold: 1, token: 7n, until: 100 },
 *   { kind: 'acquire', at: 150, hold: 2, resource: 'invoice', client: 'bob' },
 *   { kind: 'acquired', at: 152, hold: 2, token: 7n, until: 250 },
 * ])
 * for (const { kind, message } of verdict.violations) console.log(kind, message) // token-shared
 * ```
 */
export function checkLockHistory(
  history: readonly LockEvent[],
  { exclusion = 'effects', fencing = true }: LockHistoryOptions = {},
): LockVerdict {
  oneOf('exclusion', exclusion, ['effects', 'holders'])
  const violations: LockViolation[] = []
  const reportOn =
    (resource: string): Report =>
    (kind, message, ...events) => {
      violations.push({ kind, resource, message: `${resource}: ${message}`, events })
    }
  const holds = holdsOf(history, reportOn)
  const byResource = grouped(
    [...holds.values()].filter((hold) => isGranted(hold)),
    ({ call }) => call.resource,
  )
  let overtakings = 0
  let mostOvertaken = 0
  for (const [resource, granted] of byResource) {
    const report = reportOn(resource)
    // Whoever re-enters asks while it holds the lock: in the order of their grants the outer one comes first.
    const inOrder = granted.toSorted((a, b) => a.grant.at - b.grant.at)
    if (fencing) checkTokens(inOrder, report)
    const outermost = inOrder.filter(({ outer }) => outer === undefined)
    if (fencing) checkOrder(outermost, exclusion === 'holders', report)
    if (exclusion === 'holders') checkOverlaps(inOrder, report)
    const service = serviceOf(outermost.map(({ call, grant }) => ({ calledAt: call.at, gotAt: grant.at })))
    overtakings += service.overtakings
    mostOvertaken = Math.max(mostOvertaken, service.mostOvertaken)
  }
  const writes = checkWrites(history, holds, fencing, reportOn)
  const grants = [...byResource.values()].reduce((sum, { length }) => sum + length, 0)
  return { ok: violations.length === 0, violations, grants, writes, overtakings, mostOvertaken }
}

function holdsOf(
  history: readonly LockEvent[],
  reportOn: (resource: string) => Report,
): ReadonlyMap<LockEvent['hold'], Hold> {
  const holds = new Map<LockEvent['hold'], Hold>()
  for (const event of history) {
    if (!Number.isFinite(event.at)) throw malformed(event, 'has no time')
    if (event.kind !== 'acquire') continue
    if (holds.has(event.hold)) throw malformed(event, 'was called before')
    const { hold: name } = event
    holds.set(name, {
      call: event,
      grant: undefined,
      until: event.at,
      latest: event,
      isOver: false,
      outer: undefined,
    })
  }
  for (const event of history) {
    const hold = holds.get(event.hold)
    if (hold === undefined) throw malformed(event, 'never called acquire')
    if (event.kind === 'acquire' || event.kind === 'write') continue
    if (event.at < hold.latest.at) throw malformed(event, 'goes back in time')
    advance(hold, event, reportOn(hold.call.resource))
    hold.latest = event
  }
  return holds
}

function advance(hold: Hold, event: LockGrant | LockExtension | LockEnd, report: Report): void {
  switch (event.kind) {
    case 'acquired':
      if (hold.latest.kind !== 'acquire') throw malformed(event, 'had returned before')
      hold.grant = event
      hold.until = event.until ?? Number.POSITIVE_INFINITY
      return
    case 'extended':
      if (hold.grant === undefined) throw malformed(event, 'was never given the lock')
      if (hold.isOver || event.at > hold.until)
        report('revived', `hold ${hold.call.hold} was extended when it was over`, hold.latest, event)
      else hold.until = event.until
      return
    case 'refused':
      if (hold.latest.kind !== 'acquire') throw malformed(event, 'had returned before')
      hold.isOver = true
      return
    case 'released':
    case 'lost':
      hold.isOver = true
      hold.until = Math.min(hold.until, event.at)
  }
}

/** No token is given twice, unless to who holds it. */
function checkTokens(inOrder: readonly Granted[], report: Report): void {
  const owners = new Map<bigint, Granted>()
  for (const hold of inOrder) {
    const { call, grant } = hold
    if (grant.token === undefined) {
      report('no-token', `hold ${call.hold} got no token`, grant)
      continue
    }
    const first = owners.get(grant.token)
    if (first === undefined) owners.set(grant.token, hold)
    else if (first.call.client === call.client && grant.at <= first.until) hold.outer = first
    else
      report(
        'token-shared',
        `holds ${first.call.hold} and ${call.hold} both have token ${grant.token}`,
        first.grant,
        grant,
      )
  }
}

/** Who asked after somebody had been given the lock has a larger token; of holders that exclude each other, who came later. */
function checkOrder(inOrder: readonly Granted[], isExclusive: boolean, report: Report): void {
  const fenced = inOrder.filter(({ grant }) => grant.token !== undefined)
  compareTokens(
    fenced.map((hold) => ({ hold, from: hold.call.at, settledAt: hold.grant.at })),
    report,
  )
  if (isExclusive)
    compareTokens(
      fenced.map((hold) => ({ hold, from: hold.grant.at, settledAt: hold.until })),
      report,
    )
}

/** The token of each must be above all that were settled before it began. */
function compareTokens(
  spans: readonly { readonly hold: Granted; readonly from: number; readonly settledAt: number }[],
  report: Report,
): void {
  const settled = spans.toSorted((a, b) => a.settledAt - b.settledAt)
  let next = 0
  let largest: Granted | undefined
  for (const { hold, from } of spans.toSorted((a, b) => a.from - b.from)) {
    for (let one = settled[next]; one !== undefined && one.settledAt < from; one = settled[++next])
      if (largest === undefined || tokenOf(one.hold) > tokenOf(largest)) largest = one.hold
    // Equal ones are told of as shared.
    if (largest === undefined || tokenOf(hold) >= tokenOf(largest)) continue
    const [before, after] = [tokenOf(largest), tokenOf(hold)]
    report('token-order', `token ${after} was given after ${before}`, largest.grant, hold.grant)
  }
}

function checkOverlaps(inOrder: readonly Granted[], report: Report): void {
  // Of each sweep, whoever holds longest, and longest among the other clients.
  let longest: Granted | undefined
  let other: Granted | undefined
  for (const hold of inOrder) {
    const { client } = hold.call
    const rival = longest?.call.client === client ? other : longest
    if (rival !== undefined && rival.until > hold.grant.at && hold.until > hold.grant.at) {
      const both = `${rival.call.hold} and ${hold.call.hold}`
      report('overlap', `holds ${both} both believe to have it at ${hold.grant.at}`, rival.grant, hold.grant)
    }
    if (longest === undefined || hold.until > longest.until) {
      if (longest !== undefined && longest.call.client !== client) other = longest
      longest = hold
    } else if (longest.call.client !== client && (other === undefined || hold.until > other.until)) {
      other = hold
    }
  }
}

/** What is known of the writes of one resource so far. */
interface Written {
  count: number
  largest: LockWrite | undefined
  last: { readonly client: LockCall['client']; readonly write: LockWrite } | undefined
  /** Since which of its writes the same client has been writing, and the one of somebody else before. */
  since: number
  before: LockWrite | undefined
  readonly latest: Map<Hold, { readonly count: number; readonly write: LockWrite }>
}

function checkWrites(
  history: readonly LockEvent[],
  holds: ReadonlyMap<LockEvent['hold'], Hold>,
  isFenced: boolean,
  reportOn: (resource: string) => Report,
): number {
  const resources = new Map<string, Written>()
  let accepted = 0
  for (const event of history) {
    const hold = holds.get(event.hold)
    if (event.kind !== 'write' || event.accepted !== true || hold === undefined) continue
    accepted++
    const { resource } = hold.call
    const written = resources.get(resource) ?? {
      count: 0,
      largest: undefined,
      last: undefined,
      since: 0,
      before: undefined,
      latest: new Map(),
    }
    resources.set(resource, written)
    checkWrite(event, hold, written, isFenced, reportOn(resource))
  }
  return accepted
}

function checkWrite(write: LockWrite, hold: Hold, written: Written, isFenced: boolean, report: Report): void {
  const { hold: name, client } = hold.call
  const { grant } = hold
  if (grant === undefined || write.at < grant.at)
    report('not-granted', `hold ${name} wrote without having been given the lock`, hold.call, write)
  else if (isFenced && (write.token === undefined || write.token !== grant.token))
    report('not-granted', `hold ${name} wrote with token ${write.token}, not its own`, grant, write)

  const largest = written.largest?.token
  if (isFenced && write.token !== undefined) {
    if (largest === undefined || write.token >= largest) written.largest = write
    else if (written.largest !== undefined)
      report('stale-write', `token ${write.token} was accepted after ${largest}`, written.largest, write)
  }

  written.count++
  if (written.last !== undefined && written.last.client !== client) {
    written.since = written.count
    written.before = written.last.write
  }
  const owner = hold.outer ?? hold
  const own = written.latest.get(owner)
  if (own !== undefined && written.before !== undefined && own.count < written.since)
    report(
      'interleaved',
      `hold ${name} went on after somebody else’s write`,
      own.write,
      written.before,
      write,
    )
  written.last = { client, write }
  written.latest.set(owner, { count: written.count, write })
}

function isGranted(hold: Hold): hold is Granted {
  return hold.grant !== undefined
}

const tokenOf = ({ grant: { token = 0n } }: Granted): bigint => token

function grouped<T>(all: readonly T[], by: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const group = groups.get(by(one))
    if (group === undefined) groups.set(by(one), [one])
    else group.push(one)
  }
  return groups
}

const malformed = ({ kind, hold, at }: LockEvent, what: string): ConfigurationError =>
  new ConfigurationError(`no history: ${kind} at ${shown(at)}: hold ${shown(hold)} ${what}`)
