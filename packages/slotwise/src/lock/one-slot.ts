import { ConfigurationError, RedisUnavailableError } from '../errors.js'
import { type Key, plainName } from '../keys.js'
import { type CallOptions, oneOf, shown } from '../options.js'
import { checkEviction, type EvictionCheck } from '../redis/eviction.js'
import type { RedisPort } from '../redis/port.js'
import { Readiness } from '../redis/readiness.js'
import { slotOf } from '../slots.js'
import type { Answer, Ask, Authority, Busy, Verdict } from './authority.js'
import type { Clocks } from './deadline.js'
import { checkEpoch, epochOf } from './epoch.js'
import { type Reigns, reignsOf } from './independence.js'
import { Line } from './line.js'
import { LOOK_MS, Looks } from './looks.js'
import { Markers, neverHadLocks, raisedTo, tellOfLocks } from './markers.js'
import { type LocksOptions, reporter } from './options.js'
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
/** Others have so much of the time of a request to say whether a slot ever had locks: one that hangs must not keep it from being given. */
const OTHERS_MS = { share: 1 / 4, most: 100 }
/** Those of whom some have not heard that a slot has locks are told again so much later. */
const AGAIN_MS = 10_000

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
  readonly #scripts: Pick<typeof scripts, 'extend' | 'release'>
  /** How long any lock of this name may be held without being extended, in any process: only ever raised. */
  #longestMs: number
  /** By primary: in which it was known to be before that was looked at last. */
  readonly #reigns = new Map<string, scripts.Heard>()
  /** Slots of which others are being told that they have locks, or have been a moment ago. */
  readonly #telling = new Set<number>()

  constructor(port: RedisPort, clocks: Clocks, options: OneSlotOptions) {
    this.#port = port
    this.#clocks = clocks
    this.#options = options
    this.#longestMs = options.maxTtlMs
    this.#line = new Line(port, clocks)
    this.#markers = new Markers(port.namespace)
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

  ready(): Promise<void> {
    return this.#readiness.ready()
  }

  async #look(): Promise<void> {
    const { evictionCheck, quarantine, report } = this.#options
    const reigns = quarantine ? await reignsOf(this.#port, { deadlineMs: LOOK_MS }) : NONE
    await checkEviction(this.#port, 'locks', {
      check: evictionCheck,
      report,
      deadlineMs: LOOK_MS,
      ends: true,
    })
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
    const owner = this.#port.topology().ownerOf(slot)?.id ?? ''
    const epoch = epochOf(this.#port, slot)
    const clock = new ServerClock(this.#port, this.#clocks)
    let answer = await this.#ask(ask, { slot, epoch, first: '' }, this.#reigns.get(owner), options)
    if (answer.kind === 'unseen' || answer.kind === 'unknown')
      answer = await this.#askAgain(ask, { slot, epoch, owner }, answer, options)
    if (answer.kind === 'held' && !answer.isTold) void this.#tell(slot, answer.nowMs)
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
    { slot, epoch, owner }: { readonly slot: number; readonly epoch: number; readonly owner: string },
    said: scripts.Unanswered,
    options: CallOptions,
  ): Promise<scripts.Granted | scripts.Answered> {
    let heard = this.#reigns.get(owner)
    let first: string | 0 = ''
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      if (said.kind === 'unseen') {
        // Another process may have raised the longest time since this one looked, and the server have forgotten its locks.
        await this.#looks.anew()
        heard = said
        this.#reigns.set(owner, said)
      } else {
        const withinMs = Math.min(OTHERS_MS.most, OTHERS_MS.share * (options.deadlineMs ?? LOOK_MS))
        first = (await neverHadLocks(this.#port, slot, Math.ceil(withinMs))) ? said.reign : 0
      }
      const answer = await this.#ask(ask, { slot, epoch, first }, heard, options)
      if (answer.kind !== 'unseen' && answer.kind !== 'unknown') return answer
      said = answer
    }
    throw new RedisUnavailableError('the server changes while it is asked')
  }

  /** Nobody waits for it: until all have heard it, whoever gets a lock tells them again. */
  async #tell(slot: number, nowMs: number): Promise<void> {
    if (this.#telling.has(slot)) return
    this.#telling.add(slot)
    const marker = this.#markers.of(slot)
    try {
      if (await tellOfLocks(this.#port, { slot, marker, nowMs }, { deadlineMs: LOOK_MS }))
        return void this.#telling.delete(slot)
    } catch (error) {
      if (error instanceof ConfigurationError) this.#options.report(error)
    }
    this.#clocks.after(AGAIN_MS, () => this.#telling.delete(slot))
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
