import { ClosedError, ConfigurationError, ReplyError } from '../errors.js'
import { type Key, keyOf } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import type { Clocks } from './deadline.js'
import { type Markers, PLACES, tagOf } from './markers.js'

/** Once most have said that there was no lock, the rest have so long to say that there was one: not all have heard of each. */
const GRACE_MS = 10
/** A place that does not hear is told again so much later, and one that may not hear it, after an hour. */
const AGAIN_MS = 10_000
const FORBIDDEN_MS = 3_600_000
const TELL_MS = 250

/** What others say of the locks of a slot. */
export type Said = 'had some' | 'never had any' | 'nothing'

/**
 * Which slots ever had a lock of a namespace, at places all over the primaries, so that it is known elsewhere of a slot whose own
 * server has forgotten.
 */
export class Others {
  readonly #port: RedisPort
  readonly #markers: Markers
  readonly #clocks: Clocks
  readonly #report: (error: unknown) => void
  /** By slot: which places have not heard of its locks, and when one was given. */
  readonly #untold = new Map<number, { readonly places: Set<number>; readonly nowMs: number }>()
  /** Until when places that did not hear are left alone. */
  readonly #silentUntil = new Map<number, number>()
  #cancel: (() => void) | undefined
  #isRefused = false
  #isClosed = false

  constructor(port: RedisPort, markers: Markers, clocks: Clocks, report: (error: unknown) => void) {
    this.#port = port
    this.#markers = markers
    this.#clocks = clocks
    this.#report = report
  }

  /** Whether there are others than the primary of a slot. */
  areThere(slot: number): boolean {
    return this.#elsewhere(slot).length > 0
  }

  #elsewhere(slot: number): readonly number[] {
    const topology = this.#port.topology()
    const own = topology.ownerOf(slot)?.id
    return PLACES.filter((place) => topology.ownerOf(place)?.id !== own)
  }

  /**
   * What is said of a slot: one that knows of a lock is believed, whichever it is. That there was none, most of the other primaries
   * have to say, where there are others, or all that answer.
   *
   * @throws ConfigurationError nobody may be asked
   */
  async ask(slot: number, withinMs: number): Promise<Said> {
    const topology = this.#port.topology()
    const elsewhere = this.#elsewhere(slot)
    const primaryOf = new Map(
      (elsewhere.length === 0 ? PLACES : elsewhere).map((place) => [place, topology.ownerOf(place)?.id]),
    )
    const most = Math.floor(new Set(primaryOf.values()).size / 2) + 1
    let end: (said: Said) => void = () => {}
    const ended = new Promise<Said>((resolve) => {
      end = resolve
    })
    const never = new Set<string | undefined>()
    let refusal: unknown
    let cancel: (() => void) | undefined
    const asked = PLACES.map(async (place) => {
      const key = this.#keyAt(place)
      try {
        const call = { key, command: ['GETBIT', key, slot], repeat: 'safe' } as const
        if ((await this.#port.call(call, { deadlineMs: withinMs })) === 1) return end('had some')
        if (primaryOf.has(place)) never.add(primaryOf.get(place))
        // What has come while this process stood still is read first: timers come before it, immediates after.
        if (never.size >= most)
          cancel ??= this.#clocks.after(GRACE_MS, () => setImmediate(() => end('never had any')))
      } catch (error) {
        if (isForbidden(error)) refusal = error
      }
    })
    void Promise.all(asked).then(() => end(never.size > 0 ? 'never had any' : 'nothing'))
    const said = await ended
    cancel?.()
    if (said === 'nothing' && refusal !== undefined) throw forbidden(refusal)
    return said
  }

  /** That a slot has locks, of which one was given at that time of its server. Nobody waits for it; whoever is away hears it later. */
  tell(slot: number, nowMs: number): void {
    if (this.#isClosed || this.#untold.has(slot)) return
    this.#untold.set(slot, { places: new Set(PLACES), nowMs })
    void this.#tell(slot)
  }

  /** What has not been told is told by whoever has the next lock of its slot. */
  close(): void {
    this.#isClosed = true
    this.#untold.clear()
    this.#cancel?.()
  }

  async #tell(slot: number): Promise<void> {
    const untold = this.#untold.get(slot)
    if (untold === undefined) return
    const { places, nowMs } = untold
    const now = this.#clocks.monotonicMs()
    const hearing = [...places].filter((place) => (this.#silentUntil.get(place) ?? 0) <= now)
    const calls = hearing.map((place) => {
      const key = this.#keyAt(place)
      return { key, command: ['SETBIT', key, slot, 1], repeat: 'safe' } as const
    })
    const options = { deadlineMs: TELL_MS }
    try {
      const answers = calls.length === 0 ? [] : await this.#port.pipeline(calls, options)
      hearing.forEach((place, i) => {
        const answer = answers[i]
        if (answer?.status === 'fulfilled') places.delete(place)
        else this.#isSilent(place, answer?.reason)
      })
      if (places.size === 0 && !this.#isClosed) {
        const marker = this.#markers.of(slot)
        // Where that fails all are told again: by then they may have forgotten it.
        for (const place of PLACES) places.add(place)
        await this.#port.call({ key: marker, command: ['HSET', marker, 'n', nowMs], repeat: 'safe' }, options)
        this.#untold.delete(slot)
      }
    } catch (error) {
      // Told again below, but by a port that is closed.
      if (error instanceof ClosedError) this.close()
    }
    if (this.#untold.has(slot)) this.#cancel ??= this.#clocks.after(AGAIN_MS, () => void this.#tellAgain())
  }

  /** One slot after the other: the first finds out for all who still does not hear. */
  async #tellAgain(): Promise<void> {
    this.#cancel = undefined
    for (const slot of this.#untold.keys()) await this.#tell(slot)
  }

  #isSilent(place: number, reason: unknown): void {
    const isFinal = isForbidden(reason)
    this.#silentUntil.set(place, this.#clocks.monotonicMs() + (isFinal ? FORBIDDEN_MS : AGAIN_MS))
    if (reason instanceof ClosedError) this.close()
    if (!isFinal || this.#isRefused) return
    this.#isRefused = true
    this.#report(forbidden(reason))
  }

  #keyAt(place: number): Key {
    const space = { namespace: this.#port.namespace, pattern: 'lock-marker', name: 'slots' }
    return keyOf(space, tagOf(place))
  }
}

const isForbidden = (error: unknown): boolean => error instanceof ReplyError && error.replyCode === 'NOPERM'

const forbidden = (cause: unknown) =>
  new ConfigurationError(
    'which slots have locks cannot be kept on other servers, by which one that forgot them is known; allow the user of the locks +getbit and +setbit, and the keys of pattern lock-marker',
    { cause },
  )
