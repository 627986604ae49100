import { createHash } from 'node:crypto'
import { ConfigurationError, UnexpectedReplyError } from '../errors.js'
import { EPOCH_US, type Standing } from './algorithm.js'
import type { Tier } from './tiers.js'

/**
 * What becomes of what was used when the limits of a subject change in mid-window: it stays used, it stays the same part of
 * the limit, or it is forgotten. Another name, kind or window is another tier, and begins anew in any case.
 */
export type OnPlanChange = 'keep-used' | 'keep-proportion' | 'reset'

/** Takes what there is, and refuses nothing. */
const FORCE = 1
const PROPORTION = 2
/** Lets a bucket owe more than it holds. */
export const LINE = 4
/** Something of each tier has to be left. */
export const SPARE = 8

const HEADER = 6
const TIER = 20
/** Layout and moment, before the parts. */
const RECORD_HEADER = 12
const LARGEST_COST = 2 ** 40 - 1

/** What decide.lua answered. */
export interface Answer {
  readonly verdict: 'refused' | 'admitted' | 'repeated' | 'blocked' | 'another-day'
  /** By the script's clock. */
  readonly nowUs: number
  /** As it came; {@link Plan.recordOf} is what a refund is told of it. */
  readonly reply: Buffer
  readonly standings: readonly Standing[]
  /** When what was admitted was: before, where it was repeated. */
  readonly decidedUs: number
  /** How long a block lasts still. */
  readonly blockedUs: number
}

/** By the digit that the script begins with. */
const VERDICTS = ['refused', 'admitted', 'repeated', 'blocked', 'another-day'] as const
const ZERO = 48

/** The tiers of one policy as the scripts are told of them, and what they answer. */
export class Plan {
  /** Which tiers these are: records of others are not read. */
  readonly layout: number
  readonly #tiers: readonly Tier<string>[]
  readonly #mode: number
  /** Of a cost of 1; of windows of the calendar as they were at `#madeAtUs`. */
  #single: Buffer
  readonly #offsets: readonly number[]
  readonly #calendars: readonly { readonly offset: number; readonly tier: Tier<string> }[]
  #calendarEndsUs = 0
  readonly #recordBytes: number

  constructor(names: readonly string[], tiers: readonly Tier<string>[], onPlanChange: OnPlanChange) {
    this.#tiers = tiers
    this.hasLeases = tiers.some(({ kind }) => kind === 'concurrency')
    this.#mode = onPlanChange === 'keep-proportion' ? PROPORTION : 0
    const limitBytes = this.#mode === PROPORTION ? 8 : 0
    const parts = tiers.reduce((sum, { algorithm }) => sum + limitBytes + algorithm.partBytes, 0)
    if (parts > 8 * 255) throw new ConfigurationError(`a policy of ${tiers.length} tiers is too large`)
    this.#recordBytes = RECORD_HEADER + parts

    let offset = HEADER
    this.#offsets = tiers.map(({ algorithm }) => {
      const at = offset
      offset += TIER + (algorithm.calendar === undefined ? 0 : 12)
      return at
    })
    this.#calendars = tiers.flatMap((tier, i) =>
      tier.algorithm.calendar === undefined ? [] : [{ tier, offset: this.#offsets[i] ?? 0 }],
    )
    this.#single = Buffer.alloc(offset)
    this.#single.writeUInt8(this.#mode, 0)
    this.#single.writeUInt8(parts / 8, 1)
    this.layout = layoutOf(names, tiers, onPlanChange)
    this.#single.writeUInt32BE(this.layout, 2)
    for (const [i, { limit, algorithm }] of tiers.entries()) {
      const at = this.#offsets[i] ?? 0
      this.#single.writeUInt8(algorithm.code, at)
      this.#single.writeUIntBE(limit, at + 1, 5)
      this.#single.writeUIntBE(algorithm.width, at + 6, 6)
      this.#single.writeUIntBE(algorithm.unit, at + 12, 3)
      this.#single.writeUIntBE(1, at + 15, 5)
    }
  }

  /** Whether decisions need something that tells them apart. */
  readonly hasLeases: boolean

  /** What the scripts take for a decision of these costs, by what this process takes for the time; `extra` is {@link LINE} or {@link SPARE}. */
  bytes(costs: readonly number[], force = false, nowUs?: number, extra = 0): Buffer {
    if (this.#calendars.length > 0) this.#turnCalendars(Math.max(0, nowUs ?? Date.now() * 1000 - EPOCH_US))
    if (!force && extra === 0 && isOnes(costs)) return this.#single
    const bytes = Buffer.from(this.#single)
    bytes.writeUInt8(this.#mode + (force ? FORCE : 0) + extra, 0)
    for (const [i, at] of this.#offsets.entries()) {
      bytes.writeUIntBE(Math.min(costs[i] ?? 0, LARGEST_COST), at + 15, 5)
    }
    return bytes
  }

  /** A record in which nothing is taken. */
  get empty(): Buffer {
    const record = Buffer.alloc(this.#recordBytes)
    this.#single.copy(record, 0, 2, 6)
    let at = RECORD_HEADER
    for (const { kind, limit, algorithm } of this.#tiers) {
      if (this.#mode === PROPORTION) {
        record.writeDoubleBE(limit, at)
        at += 8
      }
      // A bucket of no tokens is counted by an interval all the same.
      if (kind === 'token-bucket' && algorithm.partBytes === 16) record.writeDoubleBE(algorithm.width, at + 8)
      at += algorithm.partBytes
    }
    return record
  }

  /** @param wanted what had to be there: where something is left for others more than the costs */
  read(reply: unknown, costs: readonly number[], wanted = costs): Answer {
    const verdict = Buffer.isBuffer(reply) ? VERDICTS[(reply[0] ?? 0) - ZERO] : undefined
    if (!Buffer.isBuffer(reply) || verdict === undefined || reply.length < 1 + RECORD_HEADER) {
      throw new UnexpectedReplyError('a decision was answered with something else than one')
    }
    const nowUs = reply.readDoubleBE(5)
    if (verdict === 'another-day')
      return { verdict, nowUs, reply, standings: [], decidedUs: nowUs, blockedUs: 0 }
    const isTaken = verdict === 'admitted'
    let at = 1 + RECORD_HEADER
    let momentsAt = 1 + this.#recordBytes
    const standings: Standing[] = []
    for (let i = 0; i < this.#tiers.length; i++) {
      const { algorithm } = this.#tiers[i] as Tier<string>
      if (this.#mode === PROPORTION) at += 8
      const cost = costs[i] ?? 0
      const [untaken, taken] = isTaken ? [0, cost] : [wanted[i] ?? 0, 0]
      standings.push(algorithm.standing({ bytes: reply, at, untaken, taken, nowUs, momentsAt }))
      at += algorithm.partBytes
      if (algorithm.hasList) momentsAt += 32
    }
    return {
      verdict,
      nowUs,
      reply,
      standings,
      decidedUs: verdict === 'repeated' ? reply.readDoubleBE(momentsAt) : nowUs,
      blockedUs: verdict === 'blocked' ? reply.readDoubleBE(momentsAt) - nowUs : 0,
    }
  }

  /** Layout, moment and parts, as a refund is told of them. */
  recordOf({ reply, decidedUs }: Pick<Answer, 'reply' | 'decidedUs'>): Buffer {
    const record = Buffer.from(reply.subarray(1, 1 + this.#recordBytes))
    record.writeDoubleBE(decidedUs, 4)
    return record
  }

  /** Puts the windows around a moment into the bytes, where it is in none of those that are there. */
  #turnCalendars(nowUs: number): void {
    if (this.#calendars.length === 0 || (nowUs >= this.#calendarBeganUs && nowUs < this.#calendarEndsUs))
      return
    // Bytes that were handed out may be on their way.
    this.#single = Buffer.from(this.#single)
    let [began, ends] = [0, Number.POSITIVE_INFINITY]
    for (const { tier, offset } of this.#calendars) {
      const windows = tier.algorithm.calendar?.(nowUs)
      if (windows === undefined) continue
      // Milliseconds, of which six bytes last for ever. A zone east of UTC begins before the script's clock does.
      const { from, to, next } = windows
      this.#single.writeUIntBE(Math.max(0, from / 1000), offset + 6, 6)
      this.#single.writeUIntBE(to / 1000, offset + TIER, 6)
      this.#single.writeUIntBE(next / 1000, offset + TIER + 6, 6)
      began = Math.max(began, windows.from)
      ends = Math.min(ends, windows.to)
    }
    this.#calendarBeganUs = began
    this.#calendarEndsUs = ends
  }

  #calendarBeganUs = 0
}

function isOnes(costs: readonly number[]): boolean {
  for (const cost of costs) if (cost !== 1) return false
  return true
}

/** Four bytes that tell records of other tiers apart. */
function layoutOf(
  names: readonly string[],
  tiers: readonly Tier<string>[],
  onPlanChange: OnPlanChange,
): number {
  const description = tiers.map(({ limit, algorithm }, i) => [
    names[i],
    algorithm.identity,
    ...(onPlanChange === 'reset' ? [limit, algorithm.width, algorithm.unit] : []),
  ])
  return createHash('sha256')
    .update(JSON.stringify([onPlanChange === 'keep-proportion', ...description]))
    .digest()
    .readUInt32BE(0)
}
