import { ConfigurationError } from '../errors.js'
import type { CallOptions } from '../options.js'
import { checkEviction } from '../redis/eviction.js'
import type { RedisPort } from '../redis/port.js'
import { inTime, Readiness } from '../redis/readiness.js'
import type { Clocks } from './deadline.js'
import { Debts } from './debts.js'
import { type Identity, identityOf, type Reigns, refuseSame, reignsOf } from './independence.js'
import { LOOK_MS, Looks } from './looks.js'
import { raisedTo } from './markers.js'
import type { OneSlotOptions } from './one-slot.js'
import type { Heard } from './scripts.js'

/** One server, or what a port takes for one. */
export interface Voter {
  readonly port: RedisPort
  readonly index: number
  readonly debts: Debts
  /** Once it was looked at: before that it has no vote. */
  identity: Identity | undefined
  /** By primary: in which it was known to be before a majority was asked last for how long locks may be held. */
  readonly reigns: Map<string, Heard>
  identifying: Promise<Reigns> | undefined
}

const NONE: Reigns = new Map()

/** The servers of which a majority gives locks: which they are, and for how long they know that locks may be held. */
export class Voters {
  readonly all: readonly Voter[]
  readonly quorum: number
  /** How long any lock of this name may be held without being extended, in any process: only ever raised. */
  longestMs: number
  readonly #options: OneSlotOptions
  readonly #readiness: Readiness
  readonly #looks: Looks<ReadonlySet<Voter>>
  /** What a look found when nobody waited for it. */
  #wrong: ConfigurationError | undefined

  /** @throws ConfigurationError too few nodes, one twice, or of different namespaces */
  constructor(ports: readonly RedisPort[], clocks: Clocks, options: OneSlotOptions) {
    if (ports.length < 3)
      throw new ConfigurationError(
        `a majority takes at least three independent nodes, got ${ports.length}: with fewer, one that is away is an outage, and one that forgets is two holders`,
      )
    if (new Set(ports).size < ports.length)
      throw new ConfigurationError('a node was given twice: it would vote twice')
    if (ports.some(({ namespace }) => namespace !== ports[0]?.namespace))
      throw new ConfigurationError('all ports must have the same namespace: a lock has one key on all nodes')
    this.#options = options
    this.longestMs = options.maxTtlMs
    this.quorum = Math.floor(ports.length / 2) + 1
    this.all = ports.map((port, index) => {
      const debts = new Debts(port, clocks)
      return { port, index, debts, identity: undefined, reigns: new Map(), identifying: undefined }
    })
    this.#readiness = new Readiness(() => this.#look(), options.report)
    this.#looks = new Looks(() => this.#raise())
  }

  async ready(call: CallOptions = {}): Promise<void> {
    await this.#readiness.ready(call)
    if (this.#wrong === undefined) return
    // Looked at anew: it may have been put right.
    await inTime(this.#look(), call)
  }

  async #look(): Promise<void> {
    const known = await Promise.all(this.all.map((voter) => this.#identify(voter)))
    const heard = this.all.map((voter, i) => ({ voter, reigns: known[i] ?? NONE }))
    await this.hear(heard)
    this.#wrong = undefined
  }

  /**
   * In which reigns its primaries are, once it is known which server it is. One that does not answer has no vote until it does; the
   * others go on.
   */
  async #identify(voter: Voter): Promise<Reigns> {
    const { port } = voter
    const identity = await identityOf(port, { deadlineMs: LOOK_MS })
    if (identity === undefined) return NONE
    const { evictionCheck, quarantine, report } = this.#options
    const options = { deadlineMs: LOOK_MS }
    const [reigns] = await Promise.all([
      quarantine ? reignsOf(port, options) : NONE,
      checkEviction(port, 'locks', { ...options, check: evictionCheck, report, ends: true }),
    ])
    const all = this.all.map((other) => (other === voter ? identity : other.identity))
    refuseSame(all)
    // From here on it is compared with: of two that are looked at together the second finds the first.
    voter.identity = identity
    return reigns
  }

  /**
   * Looks for how long locks may be held, once it is known in which reigns primaries are: what was granted before those may be
   * forgotten there, and by a process that set a longer time. Whoever takes a lock needs a majority, and so asks one.
   */
  async hear(heard: readonly { readonly voter: Voter; readonly reigns: Reigns }[]): Promise<void> {
    let answered = await this.#looks.anew()
    if (answered.size < this.quorum) {
      // Of some it may not have been known yet which servers they are.
      await Promise.allSettled(this.all.flatMap(({ identifying }) => identifying ?? []))
      answered = await this.#looks.anew()
    }
    if (answered.size < this.quorum) return
    for (const { voter, reigns } of heard) {
      if (!answered.has(voter)) continue
      for (const [id, one] of reigns) voter.reigns.set(id, one)
    }
  }

  /** Tells all what is known, also one that forgot it, and learns what they know; of whom, it says. */
  async #raise(): Promise<ReadonlySet<Voter>> {
    const answered = new Set<Voter>()
    const asked = this.all.filter(({ identity }) => identity !== undefined)
    await Promise.all(
      asked.map(async (voter) => {
        const { port } = voter
        const longest = await raisedTo(port, this.longestMs, this.#options, { deadlineMs: LOOK_MS })
        if (longest === undefined) return
        answered.add(voter)
        this.longestMs = Math.max(this.longestMs, longest)
      }),
    )
    return answered
  }

  /** Looks which server it is; whether it may vote now. */
  async lookAt(voter: Voter): Promise<boolean> {
    voter.identifying ??= this.#identify(voter).finally(() => {
      voter.identifying = undefined
    })
    try {
      const reigns = await voter.identifying
      if (voter.identity !== undefined) await this.hear([{ voter, reigns }])
    } catch (error) {
      if (error instanceof ConfigurationError) this.#wrong = error
      throw error
    }
    return voter.identity !== undefined
  }
}
