/**
 * What tiers are held to, in whole numbers of any size: each says only how time passes and whether so much is there. How long to
 * wait, how much is left and when all is as if unused is found by trying.
 */
export interface Oracle {
  /** So much time passes, from one moment of the server's clock to another. */
  pass(from: bigint, to: bigint): Oracle
  has(cost: bigint): boolean
  take(cost: bigint): Oracle
  /** As much as there is, if it is less. */
  force(cost: bigint): Oracle
  readonly isFresh: boolean
  readonly limit: bigint
  /** What a decision took is given back, as far as it counts still; nothing if none of it does. */
  giveBack(cost: bigint, back: GivingBack): Oracle | undefined
  /**
   * What a decision left under way lasts as long again from a moment so much later; nothing if it has ended by then, or is nothing that
   * is under way.
   */
  renew?(after: Oracle, later: bigint): Oracle | undefined
  /** What a record has to know of. */
  readonly told: string
  /** Under another limit. */
  adopt(next: Oracle, keep: 'used' | 'proportion'): Oracle
}

/** When it was decided and what that left; when the record was written, whose state this is, and now. */
export interface GivingBack {
  readonly decided: bigint
  readonly after: Oracle
  readonly written: bigint
  readonly now: bigint
}

const ceilDiv = (a: bigint, b: bigint): bigint => (a + b - 1n) / b
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
/** The share of another limit, in whole requests. */
const share = (count: bigint, from: bigint, to: bigint): bigint => ceilDiv(count * to, from)

/** The bucket of the textbook: a level that rises by one part of a token each microsecond. */
export class BucketOracle implements Oracle {
  readonly limit: bigint
  readonly #interval: bigint
  readonly #level: bigint

  constructor(limit: bigint, interval: bigint, level = limit * interval) {
    this.limit = limit
    this.#interval = interval
    this.#level = level
  }

  #with(level: bigint): BucketOracle {
    return new BucketOracle(this.limit, this.#interval, max(0n, min(level, this.limit * this.#interval)))
  }

  pass(from: bigint, to: bigint): BucketOracle {
    return this.#with(this.#level + to - from)
  }

  has(cost: bigint): boolean {
    return this.#level >= cost * this.#interval
  }

  take(cost: bigint): BucketOracle {
    return this.#with(this.#level - cost * this.#interval)
  }

  force(cost: bigint): BucketOracle {
    return this.take(cost)
  }

  get told(): string {
    return `${this.#missing} by ${this.#interval}`
  }

  get isFresh(): boolean {
    return this.#level === this.limit * this.#interval
  }

  get #missing(): bigint {
    return this.limit * this.#interval - this.#level
  }

  giveBack(cost: bigint, { decided, after, written, now }: GivingBack): Oracle | undefined {
    if (!(after instanceof BucketOracle)) return undefined
    const stillOwed = decided + after.#missing - now
    let back = max(0n, min(cost * after.#interval, stillOwed))
    if (after.#interval !== this.#interval) back = (back / after.#interval) * this.#interval
    back = min(back, this.pass(written, now).#missing)
    return back === 0n ? undefined : this.#with(this.#level + back)
  }

  adopt(next: BucketOracle, keep: 'used' | 'proportion'): BucketOracle {
    const changes = next.#interval !== this.#interval || (keep === 'proportion' && next.limit !== this.limit)
    let owed = this.#missing
    if (changes) {
      const used = ceilDiv(owed, this.#interval)
      owed = (keep === 'proportion' ? share(used, this.limit, next.limit) : used) * next.#interval
    }
    return next.#with(next.limit * next.#interval - owed)
  }
}

/** What is missing in a bucket that is filled in steps, or was counted in the present window of a clock. */
export class StepOracle implements Oracle {
  readonly limit: bigint
  readonly #tokens: bigint
  readonly #every: bigint
  readonly #missing: bigint

  constructor(limit: bigint, tokens: bigint, every: bigint, missing = 0n) {
    this.limit = limit
    this.#tokens = tokens
    this.#every = every
    this.#missing = missing
  }

  #with(missing: bigint): StepOracle {
    return new StepOracle(this.limit, this.#tokens, this.#every, max(0n, min(missing, this.limit)))
  }

  pass(from: bigint, to: bigint): StepOracle {
    return this.#with(this.#missing - (to / this.#every - from / this.#every) * this.#tokens)
  }

  has(cost: bigint): boolean {
    return this.#missing + cost <= this.limit
  }

  take(cost: bigint): StepOracle {
    return this.#with(this.#missing + cost)
  }

  force(cost: bigint): StepOracle {
    return this.take(cost)
  }

  get told(): string {
    return `${this.#missing}`
  }

  get isFresh(): boolean {
    return this.#missing === 0n
  }

  giveBack(cost: bigint, { decided, after, written, now }: GivingBack): Oracle | undefined {
    if (!(after instanceof StepOracle)) return undefined
    const stillOwed = after.#missing - (now / this.#every - decided / this.#every) * this.#tokens
    const back = max(0n, min(min(cost, stillOwed), this.pass(written, now).#missing))
    return back === 0n ? undefined : this.#with(this.#missing - back)
  }

  adopt(next: StepOracle, keep: 'used' | 'proportion'): StepOracle {
    return next.#with(keep === 'proportion' ? share(this.#missing, this.limit, next.limit) : this.#missing)
  }
}

/** A count that is forgotten at the end of its window: at a multiple of its length, or so long after the first. */
export class WindowOracle implements Oracle {
  readonly limit: bigint
  readonly #width: bigint
  readonly #isAligned: boolean
  readonly #count: bigint
  readonly #left: bigint

  constructor(limit: bigint, width: bigint, isAligned: boolean, count = 0n, left = 0n) {
    this.limit = limit
    this.#width = width
    this.#isAligned = isAligned
    this.#count = count
    this.#left = count === 0n ? 0n : left
  }

  #with(count: bigint, left: bigint): WindowOracle {
    return new WindowOracle(this.limit, this.#width, this.#isAligned, min(count, this.limit), left)
  }

  pass(from: bigint, to: bigint): WindowOracle {
    const isOver = this.#isAligned ? to / this.#width !== from / this.#width : this.#left <= to - from
    return isOver ? this.#with(0n, 0n) : this.#with(this.#count, this.#left - (to - from))
  }

  has(cost: bigint): boolean {
    return this.#count + cost <= this.limit
  }

  take(cost: bigint): WindowOracle {
    return this.#with(this.#count + cost, this.#count === 0n ? this.#width : this.#left)
  }

  force(cost: bigint): WindowOracle {
    return this.take(cost)
  }

  get told(): string {
    return `${this.#count}`
  }

  get isFresh(): boolean {
    return this.#count === 0n
  }

  giveBack(cost: bigint, { decided, written, now }: GivingBack): Oracle | undefined {
    const began = this.#isAligned ? now - (now % this.#width) : written + this.#left - this.#width
    const counts = decided >= began && !this.pass(written, now).isFresh
    const back = counts ? min(cost, this.#count) : 0n
    return back === 0n ? undefined : this.#with(this.#count - back, this.#left)
  }

  adopt(next: WindowOracle, keep: 'used' | 'proportion'): WindowOracle {
    return next.#with(
      keep === 'proportion' ? share(this.#count, this.limit, next.limit) : this.#count,
      this.#left,
    )
  }
}

/** Two counts; the older one weighs as much as there is left of it, in whole units. */
export class EstimateOracle implements Oracle {
  readonly limit: bigint
  readonly #width: bigint
  readonly #unit: bigint
  readonly #previous: bigint
  readonly #current: bigint
  readonly #at: bigint

  constructor(limit: bigint, width: bigint, unit: bigint, previous = 0n, current = 0n, at = 0n) {
    this.limit = limit
    this.#width = width
    this.#unit = unit
    this.#previous = previous
    this.#current = current
    this.#at = at
  }

  #with(previous: bigint, current: bigint, at: bigint): EstimateOracle {
    const [older, newer] = [min(previous, this.limit), min(current, this.limit)]
    return new EstimateOracle(this.limit, this.#width, this.#unit, older, newer, at)
  }

  pass(from: bigint, to: bigint): EstimateOracle {
    const windows = to / this.#width - from / this.#width
    if (windows === 0n) return this.#with(this.#previous, this.#current, to)
    return this.#with(windows === 1n ? this.#current : 0n, 0n, to)
  }

  has(cost: bigint): boolean {
    const units = this.#width / this.#unit
    const left = units - (this.#at % this.#width) / this.#unit
    return this.#previous * left + (this.#current + cost) * units <= this.limit * units
  }

  take(cost: bigint): EstimateOracle {
    return this.#with(this.#previous, this.#current + cost, this.#at)
  }

  force(cost: bigint): EstimateOracle {
    return this.take(cost)
  }

  get told(): string {
    return `${this.#previous} and ${this.#current}`
  }

  get isFresh(): boolean {
    return this.#previous === 0n && this.#current === 0n
  }

  giveBack(cost: bigint, { decided, written, now }: GivingBack): Oracle | undefined {
    const windowOf = (at: bigint) => at / this.#width
    if (windowOf(decided) < windowOf(now) - 1n) return undefined
    const ago = windowOf(written) - windowOf(decided)
    const back = ago <= 0n ? min(cost, this.#current) : ago === 1n ? min(cost, this.#previous) : 0n
    if (back === 0n) return undefined
    return ago <= 0n
      ? this.#with(this.#previous, this.#current - back, this.#at)
      : this.#with(this.#previous - back, this.#current, this.#at)
  }

  adopt(next: EstimateOracle, keep: 'used' | 'proportion'): EstimateOracle {
    const kept = (count: bigint) => (keep === 'proportion' ? share(count, this.limit, next.limit) : count)
    return next.#with(kept(this.#previous), kept(this.#current), this.#at)
  }
}

/** Everything that still counts, and for how long: a log by parts of the window, or leases. */
export class ListOracle implements Oracle {
  readonly limit: bigint
  readonly #lasts: (at: bigint) => bigint
  readonly #merges: boolean
  readonly #entries: readonly { readonly left: bigint; readonly count: bigint; readonly id: number }[]
  readonly #at: bigint
  static #ids = 0

  constructor(
    limit: bigint,
    lasts: (at: bigint) => bigint,
    merges: boolean,
    entries: readonly { readonly left: bigint; readonly count: bigint; readonly id: number }[] = [],
    at = 0n,
  ) {
    this.limit = limit
    this.#lasts = lasts
    this.#merges = merges
    this.#entries = entries
    this.#at = at
  }

  #with(entries: ListOracle['entries'], at = this.#at): ListOracle {
    return new ListOracle(this.limit, this.#lasts, this.#merges, entries, at)
  }

  get entries(): readonly { readonly left: bigint; readonly count: bigint; readonly id: number }[] {
    return this.#entries
  }

  /** What counts until exactly then is the last that was taken. */
  get newest(): number {
    return this.#entries.at(-1)?.id ?? 0
  }

  pass(from: bigint, to: bigint): ListOracle {
    const entries = this.#entries.map((entry) => ({ ...entry, left: entry.left - (to - from) }))
    return this.#with(
      entries.filter(({ left }) => left > 0n),
      to,
    )
  }

  get #used(): bigint {
    return this.#entries.reduce((sum, { count }) => sum + count, 0n)
  }

  has(cost: bigint): boolean {
    return this.#used + cost <= this.limit
  }

  take(cost: bigint): ListOracle {
    if (cost === 0n) return this
    const last = this.#entries.at(-1)
    const left = max(this.#lasts(this.#at), this.#merges ? (last?.left ?? 0n) : 0n)
    if (this.#merges && last?.left === left) {
      return this.#with([...this.#entries.slice(0, -1), { ...last, count: last.count + cost }])
    }
    return this.#with([...this.#entries, { left, count: cost, id: ++ListOracle.#ids }])
  }

  force(cost: bigint): ListOracle {
    return this.take(max(0n, min(cost, this.limit - this.#used)))
  }

  get told(): string {
    return `${this.#used}`
  }

  get isFresh(): boolean {
    return this.#entries.length === 0
  }

  giveBack(cost: bigint, { decided, after, written, now }: GivingBack): Oracle | undefined {
    if (cost === 0n || !(after instanceof ListOracle)) return undefined
    // A log knows moments only, which have moved if the clock has stepped back since.
    const ends = decided + this.#lasts(decided)
    const found = this.#entries.find(({ left, id }) =>
      this.#merges ? written + left === ends : id === after.newest,
    )
    if (found === undefined || found.left <= now - written) return undefined
    const rest = { ...found, count: found.count - min(cost, found.count) }
    return this.#with(
      this.#entries.flatMap((entry) => (entry !== found ? [entry] : rest.count > 0n ? [rest] : [])),
    )
  }

  renew(after: Oracle, later: bigint): ListOracle | undefined {
    if (this.#merges || !(after instanceof ListOracle)) return undefined
    const found = this.#entries.find(({ id }) => id === after.newest)
    if (found === undefined || found.left <= later) return undefined
    const others = this.#entries.filter((entry) => entry !== found)
    return this.#with([...others, { ...found, left: later + after.#lasts(this.#at) }])
  }

  adopt(next: ListOracle): ListOracle {
    return next.#with(this.#entries, this.#at)
  }
}
