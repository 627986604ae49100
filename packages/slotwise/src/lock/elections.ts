import { ClosedError, ConfigurationError, LockBusyError } from '../errors.js'
import { type Id, type Key, plainName } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { publish } from '../telemetry.js'
import { CLOCKS, type Clocks, pause } from './deadline.js'
import { type Lock, nameOf } from './lock.js'
import { oneSlot } from './one-slot.js'
import { type LocksOptions, reporter } from './options.js'
import { checkedLongest, Requests } from './requests.js'
import * as scripts from './scripts.js'

/** Whoever stays in the line for longer asks for a place anew: a record outlives the last candidate by so much. */
const IN_LINE_MS = 60_000

/** Settings of {@link Elections}. */
export interface ElectionsOptions extends Omit<LocksOptions, 'maxTtlMs'> {
  /**
   * For how long a leader leads without being heard of, in milliseconds. It is renewed at a third of it. A leader that dies is
   * followed after so long at most; a server that was started or promoted lets nobody lead for so long.
   */
  readonly termMs: number
  /** Hears what becomes of the campaigns of this process. */
  readonly onEvent?: ((event: ElectionEvent) => void) | undefined
}

/** What became of a candidate of this process. */
export interface ElectionEvent {
  readonly kind:
    | 'elected'
    /** Its term was over before it was renewed, or somebody took the office away. */
    | 'lost'
    /** It gave the office up. */
    | 'resigned'
  readonly id: Id
  readonly token: bigint
}

/** Options of {@link Elections.campaign}. */
export interface CampaignOptions {
  /** Ends the campaign, and resigns if it leads. */
  readonly signal?: AbortSignal | undefined
  /** What others are told of the leader. @defaultValue that of the elections */
  readonly holder?: string | undefined
}

/** The office of a leader, until its signal aborts. */
export interface Leadership {
  readonly id: Id
  /** Larger than that of every leader before: what it writes to is to refuse smaller ones. */
  readonly token: bigint
  /** Aborts when the term is over, by the clocks here; when the office was taken away; on `resign`; at the end of the campaign. */
  readonly signal: AbortSignal
  /** @throws LockLostError if the term is over */
  assertLeading(): void
}

/** Who leads, as the server says. */
export interface Leader {
  readonly token: bigint
  /** How long its term lasts unless it is renewed, in milliseconds. */
  readonly remainingMs: number
  /** What it says of itself; `undefined` if nothing. */
  readonly holder: string | undefined
}

interface Office {
  readonly resigning: AbortController
  readonly left: Promise<boolean>
}

/**
 * Makes one of many processes the leader, for as long as it lives. **At most one leader's fenced writes take effect, and a leader
 * steps down at the end of its term by its own clocks, whether or not Redis answers.** Candidates are elected in the order in which
 * they came, for as long as a place lasts: a minute, or two terms where those are longer; when a leader resigns or dies the next one
 * leads.
 *
 * Not guaranteed: that no two processes ever believe to lead: who was stopped in the middle of a write, or a primary that was
 * cut off, may let the old leader act on. The token tells the two apart.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Elections } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const elections = new Elections(redis, { name: 'jobs', termMs: 5000, onError: console.error })
 * const leaving = new AbortController()
 * process.once('SIGTERM', () => leaving.abort())
 * await elections.campaign('sweeper', { signal: leaving.signal }, async ({ token, signal }) => {
 *   while (!signal.aborted) await sweep(token, signal)
 * })
 *
 * declare function sweep(fence: bigint, signal: AbortSignal): Promise<void>
 * ```
 */
export class Elections {
  readonly #port: RedisPort
  readonly #options: ElectionsOptions
  readonly #report: (error: unknown) => void
  readonly #clocks: Clocks
  readonly #termMs: number
  readonly #requests: Requests
  /** Shared by all views. */
  readonly #offices: Map<Key, Office>

  constructor(port: RedisPort, options: ElectionsOptions)
  /** @internal */
  constructor(port: RedisPort, options: ElectionsOptions, clocks: Clocks, of?: [Requests, Map<Key, Office>])
  constructor(
    port: RedisPort,
    options: ElectionsOptions,
    clocks: Clocks = CLOCKS,
    of?: [Requests, Map<Key, Office>],
  ) {
    this.#port = port
    this.#options = options
    this.#report = reporter(options)
    this.#clocks = clocks
    this.#termMs = checkedLongest('termMs', options.termMs)
    const [requests, offices] = of ?? []
    const given = { ...options, maxTtlMs: this.#termMs }
    const made = () => ({
      pattern: 'election',
      clocks,
      authority: oneSlot(port, given, clocks, { pattern: 'election' }),
    })
    this.#requests = requests ?? new Requests(port, { ...given, ...made() })
    this.#offices = offices ?? new Map<Key, Office>()
  }

  /** The same for one tenant: a free view. */
  forTenant(tenant: string): Elections {
    return new Elections(this.#port, this.#options, this.#clocks, [
      this.#requests.forTenant(tenant),
      this.#offices,
    ])
  }

  /** As {@link Locks.ready}. @throws ConfigurationError a primary may evict locks, or will not say */
  ready(): Promise<void> {
    return this.#requests.ready()
  }

  /**
   * Stands for election until the signal aborts, and runs `lead` whenever it is elected: again after its term was lost or it has
   * resigned, never twice at once by one campaign. Resolves when the signal has aborted and the office was given up, or when `lead`
   * has returned while it still led. Redis that does not answer is told to `onError`, and asked again.
   *
   * An office is given up when `lead` has ended, so `lead` is to end when its signal aborts.
   *
   * @throws whatever `lead` throws while it leads, after the office was given up; what it throws after its signal has aborted goes to
   *   `onError`
   * @throws ConfigurationError a primary may evict locks, or will not say
   */
  async campaign(
    id: Id,
    options: CampaignOptions,
    lead: (office: Leadership) => Promise<unknown>,
  ): Promise<void> {
    for (;;) {
      const lock = await this.#elected(id, options)
      if (lock === undefined || (await this.#lead(id, lock, options.signal, lead))) return
    }
  }

  /**
   * Gives up the office that this process holds, and goes to the end of the line: whoever waits leads next; where nobody does it is
   * elected again. To leave for good, abort the signal of the campaign. Not to be awaited inside `lead`, which it waits for.
   *
   * @returns when `lead` has ended and the office is free; whether it led until then
   */
  async resign(id: Id): Promise<boolean> {
    const office = this.#offices.get(this.#requests.keyOf(id))
    if (office === undefined) return false
    office.resigning.abort(new Error(`${nameOf(id)}: resigned`))
    return office.left
  }

  /** Who leads, in whatever process; `undefined` for nobody. @throws RedisUnavailableError Redis does not answer */
  async leader(id: Id, options: CallOptions = {}): Promise<Leader | undefined> {
    const seen = await scripts.look.run(this.#port, { lock: this.#requests.keyOf(id) }, {}, options)
    if (seen.kind !== 'held') return undefined
    return { token: seen.token, remainingMs: seen.remainingMs, holder: seen.holder || undefined }
  }

  /** Ends it: nobody is elected any more; who leads goes on until its campaign ends. The port stays open. Idempotent. */
  close(): Promise<void> {
    return this.#requests.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** `undefined` when the signal has aborted. */
  async #elected(id: Id, { signal, holder }: CampaignOptions): Promise<Lock | undefined> {
    const ttlMs = this.#termMs
    const waitMs = Math.max(IN_LINE_MS, 2 * ttlMs)
    const asking = { ttlMs, maxHoldMs: Number.MAX_SAFE_INTEGER, waitMs, signal, holder }
    while (!hasAborted(signal)) {
      try {
        return await this.#requests.acquire(id, asking)
      } catch (error) {
        if (hasAborted(signal)) return undefined
        if (error instanceof ConfigurationError || error instanceof ClosedError) throw error
        if (error instanceof LockBusyError) continue
        this.#report(error)
        await pause(this.#clocks, Math.min(1000, ttlMs / 4) * (0.5 + Math.random()), signal)
      }
    }
    return undefined
  }

  /** Whether the campaign is over. */
  async #lead(
    id: Id,
    lock: Lock,
    signal: AbortSignal | undefined,
    lead: (office: Leadership) => Promise<unknown>,
  ): Promise<boolean> {
    const key = this.#requests.keyOf(id)
    const resigning = new AbortController()
    const { promise, resolve } = settleable()
    const office: Office = { resigning, left: promise }
    this.#offices.set(key, office)
    const signals = [lock.signal, resigning.signal, ...(signal === undefined ? [] : [signal])]
    const ending = AbortSignal.any(signals)
    lock.signal.addEventListener('abort', () => this.#tell('lost', id, lock), { once: true })
    this.#tell('elected', id, lock)
    // The signal may be late where this process stood still.
    const isLeading = () => !ending.aborted && lock.remainingMs() > 0
    try {
      await lead({ id, token: lock.token, signal: ending, assertLeading: () => lock.assertHeld() })
      return isLeading()
    } catch (error) {
      if (isLeading()) throw error
      if (error !== ending.reason) this.#report(error)
      return false
    } finally {
      if (this.#offices.get(key) === office) this.#offices.delete(key)
      const wasHeld = await lock.release()
      if (!lock.signal.aborted) this.#tell('resigned', id, lock)
      resolve(wasHeld)
    }
  }

  #tell(kind: ElectionEvent['kind'], id: Id, { token }: Lock): void {
    publish('slotwise:lock:election', () => ({
      name: plainName('name', this.#options.name),
      resource: nameOf(id),
      kind,
    }))
    try {
      this.#options.onEvent?.({ kind, id, token })
    } catch (error) {
      this.#report(error)
    }
  }
}

const hasAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

function settleable(): { readonly promise: Promise<boolean>; readonly resolve: (value: boolean) => void } {
  let resolve: (value: boolean) => void = () => {}
  const promise = new Promise<boolean>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
