import { ConfigurationError, RedisUnavailableError } from '../errors.js'
import { type Key, plainName } from '../keys.js'
import { type CallOptions, oneOf, shown } from '../options.js'
import { checkEviction, type EvictionCheck } from '../redis/eviction.js'
import type { RedisPort } from '../redis/port.js'
import { inTime, Readiness } from '../redis/readiness.js'
import { slotOf } from '../slots.js'
import type { Answer, Ask, Authority, Busy, Verdict } from './authority.js'
import type { Clocks } from './deadline.js'
import { checkEpoch, epochOf } from './epoch.js'
import { type Reigns, reignsOf } from './independence.js'
import { Line } from './line.js'
import { LOOK_MS, Looks } from './looks.js'
import { Markers, raisedTo } from './markers.js'
import { type LocksOptions, reporter } from './options.js'
import { Others } from './others.js'
import { checkedLongest } from './requests.js'
import * as scripts from './scripts.js'
import { ServerClock } from './server-clock.js'

/** Settings of {@link OneSlot}. */
export interface OneSlotOptions {
  readonly name: string
  /** What the settings of this kind of locks and this name are known by. */
  readonly knownAs: string
  readonly maxTtlMs: number
  readonly quarantine: boolean
  /** How many there are of a resource; `undefined` for locks, which are taken whole. */
  readonly permits?: number | undefined
  readonly evictionCheck: EvictionCheck
  readonly report: (error: unknown) => void
}

const NONE: Reigns = new Map()
/** A server that changes its mind so often meanwhile is asked another time. */
const MOST_LOOKS = 4
/** Others have a share of the time of a request to say whether a slot ever had locks: one that hangs must not use it up. */
const OTHERS_MS = { share: 1 / 4, least: 25, most: 100 }

/** What a server is told by whoever asks. */
interface Told {
  readonly slot: number
  readonly epoch: number
  /** In which reign others said that the slot never had locks; 0 that it had, '' where they have not been asked. */
  readonly first: string | 0
}

/** Locks in one slot of a cluster: its primary gives them. */
export class OneSlot implements Authority {
  readonly #port: RedisPort
  readonly #clocks: Clocks
  readonly #options: OneSlotOptions
  readonly #readiness: Readiness
  readonly #looks: Looks
  readonly #line: Line
  readonly #markers: Markers
  readonly #others: Others
  readonly #scripts: Pick<typeof scripts, 'extend' | 'release'>
  /** How long any lock of this name may be held without being extended, in any process: only ever raised. */
  #longestMs: number
  /** By primary: in which it was known to be before that was looked at last. */
  readonly #reigns = new Map<string, scripts.Heard>()

  constructor(port: RedisPort, clocks: Clocks, options: OneSlotOptions) {
    this.#port = port
    this.#clocks = clocks
    this.#options = options
    this.#longestMs = options.maxTtlMs
    this.#line = new Line(port, clocks)
    this.#markers = new Markers(port.namespace)
    this.#others = new Others(port, this.#markers, clocks, options.report)
    this.#scripts =
      options.permits === undefined
        ? { extend: scripts.extend, release: scripts.release }
        : { extend: scripts.extendPermits, release: scripts.releasePermits }
    this.#readiness = new Readiness(() => this.#look(), options.report)
    this.#looks = new Looks(async () => {
      if (await this.#raise()) return
      throw new RedisUnavailableError('no server says for how long locks may be held')
    })
  }

  ready(call: CallOptions = {}): Promise<void> {
    return this.#readiness.ready(call)
  }

  async #look(): Promise<void> {
    const { evictionCheck, quarantine, report } = this.#options
    const options = { deadlineMs: LOOK_MS }
    const [reigns] = await Promise.all([
      quarantine ? reignsOf(this.#port, options) : NONE,
      checkEviction(this.#port, 'locks', { ...options, check: evictionCheck, report, ends: true }),
    ])
    if (!(await this.#raise())) return
    for (const [id, heard] of reigns) this.#reigns.set(id, heard)
  }

  /** Whether anybody answers: where nobody does, nobody gives locks either. */
  async #raise(): Promise<boolean> {
    const { maxTtlMs } = this.#options
    const longest = await raisedTo(this.#port, maxTtlMs, this.#options, { deadlineMs: LOOK_MS })
    this.#longestMs = Math.max(this.#longestMs, longest ?? 0)
    return longest !== undefined
  }

  async acquire(ask: Ask, options: CallOptions): Promise<Answer> {
    const { quarantine } = this.#options
    const slot = slotOf(ask.key)
    const startedAt = this.#clocks.monotonicMs()
    const owner = this.#port.topology().ownerOf(slot)?.id ?? ''
    const epoch = epochOf(this.#port, slot)
    const clock = new ServerClock(this.#port, this.#clocks)
    let answer = await this.#ask(ask, { slot, epoch, first: '' }, this.#reigns.get(owner), options)
    if (answer.kind === 'unseen' || answer.kind === 'unknown')
      answer = await this.#askAgain(ask, { slot, epoch, owner, startedAt }, answer, options)
    if (answer.kind === 'held' && !answer.isTold) this.#others.tell(slot, answer.nowMs)
    if (answer.kind === 'held' && quarantine) checkEpoch(this.#port, slot, epoch)
    // Tokens that grow after a loss take clocks that agree: a server's that cannot be believed is not believed once.
    const wrong =
      answer.kind === 'held' && quarantine ? clock.wrong(answer.nowMs, this.#longestMs) : undefined
    if (wrong !== undefined) throw wrong
    return answer
  }

  /** Of a server that may have forgotten locks: once it is known here what it has to be told. */
  async #askAgain(
    ask: Ask,
    {
      slot,
      epoch,
      owner,
      startedAt,
    }: {
      readonly slot: number
      readonly epoch: number
      readonly owner: string
      /** What its caller waits for in all is counted from here. */
      readonly startedAt: number
    },
    said: scripts.Unanswered,
    options: CallOptions,
  ): Promise<scripts.Granted | scripts.Answered> {
    let heard = this.#reigns.get(owner)
    let first: string | 0 = ''
    const until = startedAt + (options.deadlineMs ?? LOOK_MS)
    const leftMs = () => Math.ceil(until - this.#clocks.monotonicMs())
    for (let looks = 0; looks < MOST_LOOKS && leftMs() > 0; looks++) {
      if (said.kind === 'unseen') {
        // Another process may have raised the longest time since this one looked, and the server have forgotten its locks.
        await inTime(this.#looks.anew(), { signal: options.signal, deadlineMs: leftMs() })
        heard = said
        this.#reigns.set(owner, said)
      } else {
        first = await this.#firstIn(said, slot, leftMs())
      }
      options.signal?.throwIfAborted()
      const deadlineMs = leftMs()
      if (deadlineMs <= 0) break
      const answer = await this.#ask(ask, { slot, epoch, first }, heard, { ...options, deadlineMs })
      if (answer.kind !== 'unseen' && answer.kind !== 'unknown') return answer
      said = answer
    }
    throw new RedisUnavailableError('the server changes while it is asked, or there was no time to ask')
  }

  /**
   * In which reign nobody else knows of a lock of the slot; 0 if somebody does, or nobody can be asked.
   *
   * @throws RedisUnavailableError nobody says anything, perhaps for want of time
   */
  async #firstIn({ reign }: scripts.Heard, slot: number, deadlineMs: number): Promise<string | 0> {
    const { share, least, most } = OTHERS_MS
    const withinMs = Math.ceil(Math.min(most, Math.max(least, share * deadlineMs)))
    const hasTime = withinMs === most && this.#others.areThere(slot)
    let said = await this.#others.ask(slot, withinMs)
    // They may be far away, or this process have stood still from when they were to be asked until they had to answer.
    if (said === 'nothing' && hasTime)
      said = await this.#others.ask(slot, Math.max(most, Math.ceil(deadlineMs / 2)))
    if (said === 'never had any') return reign
    // A quarantine is one for all, so it takes more than one caller who has no time.
    if (said === 'nothing' && !hasTime)
      throw new RedisUnavailableError('nobody says whether its slot ever had locks')
    return 0
  }

  #ask(
    { key, owner, ttlMs, waitMs, holder, shares }: Ask,
    { slot, epoch, first }: Told,
    heard: scripts.Heard | undefined,
    options: CallOptions,
  ): Promise<scripts.Granted | scripts.Refused> {
    const { quarantine, permits } = this.#options
    const keys = { lock: key, marker: quarantine ? this.#markers.of(slot) : key }
    const args = {
      owner,
      ttl_ms: ttlMs,
      longest_ms: quarantine ? this.#longestMs : 0,
      least: 0,
      wait_ms: waitMs,
      label: holder,
      looked: heard?.reign ?? '',
      looked_ms: heard?.atMs ?? 0,
      epoch,
      first,
    }
    return permits === undefined
      ? scripts.acquire.run(this.#port, keys, args, options)
      : scripts.acquirePermits.run(this.#port, keys, { ...args, shares, permits }, options)
  }

  extend(key: Key, owner: string, ttlMs: number, options: CallOptions): Promise<Verdict> {
    const { extend } = this.#scripts
    const args = { owner, ttl_ms: ttlMs, longest_ms: this.#longestMs }
    return extend.run(this.#port, { lock: key }, args, options)
  }

  release(key: Key, owner: string, deadlineMs: number): Promise<Verdict> {
    const { release } = this.#scripts
    return release.run(this.#port, { lock: key }, { owner }, { deadlineMs })
  }

  turn(ask: Ask, busy: Busy): Promise<void> {
    return this.#line.turn({ ...busy, key: ask.key, owner: ask.owner })
  }

  close(): Promise<void> {
    this.#others.close()
    return this.#line.close()
  }
}

/** {@link OneSlot} by settings as they were given, for a kind of locks. */
export function oneSlot(
  port: RedisPort,
  options: LocksOptions,
  clocks: Clocks,
  { pattern, permits }: { readonly pattern: string; readonly permits?: number },
): OneSlot {
  return new OneSlot(port, clocks, { ...slotOptions(options, pattern), permits })
}

/** Settings as they were given, checked. */
export function slotOptions(options: LocksOptions, pattern: string): OneSlotOptions {
  const { quarantine = true, evictionCheck = 'refuse' } = options
  const name = plainName('name', options.name)
  if (typeof quarantine !== 'boolean')
    throw new ConfigurationError(`quarantine must be true or false, got ${shown(quarantine)}`)
  return {
    name,
    knownAs: `${pattern}:${name}`,
    maxTtlMs: checkedLongest('maxTtlMs', options.maxTtlMs ?? 30_000),
    quarantine,
    evictionCheck: oneOf('evictionCheck', evictionCheck, ['refuse', 'warn', 'off']),
    report: reporter(options),
  }
}
