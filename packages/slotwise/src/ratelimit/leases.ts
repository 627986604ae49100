import { LRUCache } from 'lru-cache'
import type { Key } from '../keys.js'
import type { Standing } from './algorithm.js'
import type { Decision, TierState } from './decision.js'
import { type Heard, Lease, type Spent } from './lease.js'
import { type CheckedLease, LEAST_DEMAND, type LeaseTerms, leaseTerms, STEADY_BUCKET } from './lease-terms.js'
import type { Answer } from './plan.js'
import type { Policy } from './policy.js'
import type { Tier } from './tiers.js'

/** How leases are doing in this process. */
export interface LeaseStats {
  /** Subjects that are leased now. */
  readonly hot: number
  /** Tokens that could be spent without asking. */
  readonly held: number
  /** Round trips for leases, tokens that they gave, what was spent of them, and what was not in time. */
  readonly asked: number
  readonly granted: number
  readonly spent: number
  readonly dropped: number
}

/** What happened to the lease of a subject. */
export type LeaseChange = 'hot' | 'cold' | 'granted' | 'short'

type Refusal<N extends string> = Extract<Decision<N>, { readonly retryAfterMs: number }>

interface Subject<N extends string> {
  readonly policy: Policy<N>
  readonly terms: LeaseTerms
  readonly lease: Lease
  isHot: boolean
  /** What callers wait for, of the answer that is under way. */
  waiting: number
  asking: Promise<void> | undefined
  lastGrant: number
  /** Not before: while a bucket is empty, or Redis is away. */
  prefetchAtMs: number
}

/** A request that a lease let in. */
export interface Leased<N extends string> {
  readonly leased: true
  readonly tiers: readonly TierState<N>[]
  /** Whether any of so many tokens came back, which are spent here or dropped. */
  readonly giveBack: (tokens: number) => boolean
}

/** `undefined` where Redis has to be asked. */
type LeaseDecision<N extends string> = Leased<N> | Refusal<N> | undefined

const TRIES = 3
/** While a bucket is empty it is asked at most so often in the time of a lease: meanwhile it fills, and nothing is lost. */
const ASKS_WHEN_SHORT = 8

/**
 * Decides hot subjects from tokens that were debited before. Of tiers with capacity `C` and rate `r` all processes together admit in
 * any `t` at most `C + r × t + r × forMs`. Everything else is for who asks Redis: subjects that are not hot, costs above a lease.
 */
export class Leases<N extends string> {
  readonly #subjects: LRUCache<Key, Subject<N>>
  readonly #terms = new WeakMap<Policy<N>, { readonly terms: LeaseTerms | undefined }>()
  readonly #options: CheckedLease
  readonly #ask: (key: Key, policy: Policy<N>, costs: readonly number[]) => Promise<Answer>
  readonly #now: () => number
  readonly #heard: (key: Key, kind: LeaseChange, tokens: number) => void
  readonly #failed: (error: unknown) => void
  #lastKey: Key | undefined
  #last: Subject<N> | undefined
  #asked = 0
  #granted = 0
  #spent = 0
  #dropped = 0

  constructor(
    options: CheckedLease,
    {
      ask,
      now = () => performance.now(),
      heard = () => {},
      failed = () => {},
    }: {
      /** Takes these costs, or nothing. */
      readonly ask: (key: Key, policy: Policy<N>, costs: readonly number[]) => Promise<Answer>
      /** Monotonic, in milliseconds. */
      readonly now?: () => number
      readonly heard?: (key: Key, kind: LeaseChange, tokens: number) => void
      /** Hears why a lease could not be asked for that nobody waited for. */
      readonly failed?: (error: unknown) => void
    },
  ) {
    this.#options = options
    this.#ask = ask
    this.#now = now
    this.#heard = heard
    this.#failed = failed
    this.#subjects = new LRUCache({
      max: options.maxSubjects,
      dispose: (subject) => {
        if (subject === this.#last) this.#lastKey = undefined
        const { lease } = subject
        lease.drop()
        this.#dropped += lease.dropped
      },
    })
  }

  terms(policy: Policy<N>): LeaseTerms | undefined {
    let known = this.#terms.get(policy)
    if (known === undefined) {
      known = { terms: leaseTerms(policy, this.#options) }
      this.#terms.set(policy, known)
    }
    return known.terms
  }

  /**
   * `undefined` where Redis has to be asked. At once, and not as a promise, where nobody has to wait: that would cost as much as all the rest.
   *
   * @throws why no lease could be had, when none is left
   */
  decide(
    key: Key,
    policy: Policy<N>,
    costs: readonly number[],
  ): LeaseDecision<N> | Promise<LeaseDecision<N>> {
    const terms = this.terms(policy)
    const [cost = 0] = costs
    if (terms === undefined || cost === 0 || cost > terms.most || !areAll(costs, cost)) return undefined
    const subject = this.#subjectOf(key, policy, terms)
    const nowMs = this.#now()
    this.#warm(key, subject, subject.lease.asked(cost, nowMs))
    const decided = this.#decideNow(key, subject, cost, nowMs)
    return decided === 'wait' ? this.#wait(key, subject, cost) : decided
  }

  async #wait(key: Key, subject: Subject<N>, cost: number): Promise<LeaseDecision<N>> {
    for (let tried = 1; ; tried++) {
      subject.waiting += cost
      try {
        await (subject.asking ??= this.#fetch(key, subject))
      } finally {
        subject.waiting -= cost
      }
      const decided = this.#decideNow(key, subject, cost, this.#now())
      if (decided !== 'wait') return decided
      if (tried === TRIES) return undefined
    }
  }

  /** What is spent is so at the moment that is given: nothing comes between. */
  #decideNow(key: Key, subject: Subject<N>, cost: number, nowMs: number): LeaseDecision<N> | 'wait' {
    const { lease } = subject
    const spent = lease.take(cost, nowMs)
    if (spent === undefined)
      return subject.isHot ? (this.#refusal(subject, cost, nowMs) ?? 'wait') : undefined
    this.#spent += cost
    const held = lease.held(nowMs)
    this.#prefetch(key, subject, held, nowMs)
    const giveBack = (tokens: number): boolean => this.#giveBack(lease, spent, tokens)
    return { leased: true, tiers: this.#states(subject, held, nowMs), giveBack }
  }

  /** Nothing that is held of a subject is spent any more. */
  drop(key: Key): void {
    this.#subjects.delete(key)
  }

  close(): void {
    this.#subjects.clear()
  }

  stats(): LeaseStats {
    let [hot, held, dropped] = [0, 0, this.#dropped]
    const nowMs = this.#now()
    for (const { isHot, lease, terms } of this.#subjects.values()) {
      if (isHot && lease.demand(nowMs) >= terms.hotFrom / 2) hot++
      held += lease.held(nowMs)
      dropped += lease.dropped
    }
    return { hot, held, asked: this.#asked, granted: this.#granted, spent: this.#spent, dropped }
  }

  #giveBack(lease: Lease, spent: Spent, tokens: number): boolean {
    const back = lease.giveBack(spent, tokens, this.#now())
    this.#spent -= back
    return back > 0
  }

  /** Who was asked for last is where it would be put. */
  #subjectOf(key: Key, policy: Policy<N>, terms: LeaseTerms): Subject<N> {
    if (key === this.#lastKey && this.#last?.policy === policy) return this.#last
    const subject = this.#keptOf(key, policy, terms)
    this.#lastKey = key
    this.#last = subject
    return subject
  }

  #keptOf(key: Key, policy: Policy<N>, terms: LeaseTerms): Subject<N> {
    const known = this.#subjects.get(key)
    if (known?.policy === policy) return known
    const lease = new Lease(terms.forMs)
    const subject: Subject<N> = {
      policy,
      terms,
      lease,
      isHot: false,
      waiting: 0,
      asking: undefined,
      lastGrant: 0,
      prefetchAtMs: 0,
    }
    this.#subjects.set(key, subject)
    return subject
  }

  #warm(key: Key, subject: Subject<N>, demand: number): void {
    const isHot = demand >= (subject.isHot ? subject.terms.hotFrom / 2 : subject.terms.hotFrom)
    if (isHot === subject.isHot) return
    subject.isHot = isHot
    this.#heard(key, isHot ? 'hot' : 'cold', 0)
  }

  #prefetch(key: Key, subject: Subject<N>, held: number, nowMs: number): void {
    const { lease, lastGrant, prefetchAtMs, isHot, asking } = subject
    if (!isHot || asking !== undefined || nowMs < prefetchAtMs || held > lastGrant / 2) return
    if (lease.demand(nowMs) < LEAST_DEMAND / 2) return
    subject.asking = this.#fetch(key, subject)
    // Who needs the next lease asks for it, and hears why there is none.
    subject.asking.catch(this.#failed)
  }

  async #fetch(key: Key, subject: Subject<N>): Promise<void> {
    const { policy, terms, lease } = subject
    const pauseMs = terms.forMs / ASKS_WHEN_SHORT
    // Those who come together are asked for together.
    await Promise.resolve()
    try {
      let wanted = this.#size(subject)
      for (let tried = 0; tried < TRIES; tried++) {
        const sentAtMs = this.#now()
        subject.prefetchAtMs = sentAtMs + pauseMs
        this.#asked++
        const { verdict, standings, blockedUs } = await this.#ask(
          key,
          policy,
          policy.names.map(() => wanted),
        )
        const isGranted = verdict === 'admitted'
        const left = Math.min(...standings.map(({ remaining }) => remaining))
        const heard: Heard = {
          sentAtMs,
          receivedAtMs: this.#now(),
          standings,
          blockedUs: verdict === 'blocked' ? blockedUs : 0,
          wasShort: tried > 0 || !isGranted || left < 1,
        }
        // Of a subject that was dropped meanwhile nobody may spend any more.
        const isKnown = this.#subjects.peek(key) === subject
        lease.granted(isGranted && isKnown ? wanted : 0, heard)
        if (isGranted) {
          this.#granted += wanted
          if (!isKnown) this.#dropped += wanted
          subject.lastGrant = wanted
          if (!heard.wasShort) subject.prefetchAtMs = 0
        }
        if (isGranted || left < 1 || verdict === 'blocked') {
          this.#heard(key, isGranted ? 'granted' : 'short', isGranted ? wanted : 0)
          return
        }
        wanted = Math.min(wanted, left)
      }
    } finally {
      subject.asking = undefined
    }
  }

  /**
   * Half of what is asked for in the time of a lease. The next one comes when half of that is left, so at a steady demand each is
   * spent by three quarters of its time: one twice as large would have half of itself dropped.
   */
  #size({ lease, waiting, terms, policy }: Subject<N>): number {
    const nowMs = this.#now()
    const wanted = Math.min(terms.most, Math.max(1, waiting, Math.floor(lease.demand(nowMs) / 2)))
    const { heard } = lease
    if (heard === undefined || !heard.wasShort) return wanted
    const passedUs = (nowMs - heard.sentAtMs) * 1000
    const there = heard.standings.map(({ remaining }, i) => {
      const { limit = 0, windowMs = 1 } = policy.tiers[i] ?? {}
      return remaining + (passedUs / 1000) * (limit / windowMs)
    })
    return Math.max(1, Math.min(wanted, Math.floor(Math.min(...there))))
  }

  /** Nothing where it is time to ask. What another process gives back is seen after the time of a lease at the latest. */
  #refusal({ lease, policy, terms }: Subject<N>, cost: number, nowMs: number): Refusal<N> | undefined {
    const { heard } = lease
    if (heard === undefined || nowMs >= heard.sentAtMs + terms.forMs) return undefined
    const held = lease.held(nowMs)
    const missing = cost - held
    const waits = heard.standings.map((standing) => standing.waitUs(missing))
    const waitMs = Math.max(heard.blockedUs, ...waits) / 1000
    const openMs = heard.wasShort ? heard.sentAtMs + terms.forMs / ASKS_WHEN_SHORT : nowMs
    // The server decided after it was asked: who waits from then on misses no turn.
    if (nowMs >= Math.max(heard.sentAtMs + waitMs, openMs)) return undefined
    const isLate = (i: number) => heard.sentAtMs + (waits[i] ?? 0) / 1000 > nowMs
    const late = policy.names.filter((_, i) => isLate(i))
    return {
      allowed: false,
      reason: heard.blockedUs > 0 ? 'blocked' : 'limited',
      decidedBy: 'lease',
      retryAfterMs: Math.max(1, Math.ceil(Math.max(heard.receivedAtMs + waitMs, openMs) - nowMs)),
      violated: late.length > 0 || heard.blockedUs > 0 ? late : policy.names,
      tiers: this.#states({ lease, policy }, held, nowMs),
    }
  }

  /** As Redis told last, with what is held here. Made for each decision, so without anything in between. */
  #states(
    { lease: { heard }, policy }: Pick<Subject<N>, 'lease' | 'policy'>,
    held: number,
    nowMs: number,
  ): readonly TierState<N>[] {
    const states: TierState<N>[] = []
    if (heard === undefined) return states
    const { names, tiers } = policy
    const { standings, receivedAtMs } = heard
    const passedUs = (nowMs - receivedAtMs) * 1000
    for (let i = 0; i < standings.length; i++) {
      const [standing, { limit, algorithm }] = [standings[i] as Standing, tiers[i] as Tier<string>]
      const resetUs = Math.max(0, standing.resetUs - passedUs)
      // Of a steady bucket what has come back since is known; of others the next answer tells.
      const there =
        algorithm.code === STEADY_BUCKET ? Math.floor(limit - resetUs / algorithm.width) : standing.remaining
      const remaining = Math.max(0, Math.min(limit, there + held))
      const nextUs = remaining >= limit ? 0 : standing.waitUs(Math.max(0, remaining + 1 - held)) - passedUs
      states.push({
        name: names[i] as N,
        limit,
        remaining,
        resetMs: Math.ceil(resetUs / 1000),
        nextMs: Math.ceil(Math.max(0, nextUs) / 1000),
      })
    }
    return states
  }
}

function areAll(costs: readonly number[], cost: number): boolean {
  for (const one of costs) if (one !== cost) return false
  return true
}
