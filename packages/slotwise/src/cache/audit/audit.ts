import { ClosedError, ConfigurationError } from '../../errors.js'
import { type Id, type Key, readKey } from '../../keys.js'
import type { TopologyChange } from '../../redis/port.js'
import { slotOf } from '../../slots.js'
import { publish } from '../../telemetry.js'
import { unlessAborted } from '../abort.js'
import type { Instance } from '../instance.js'
import { Origin } from '../origin.js'
import { Scope } from '../scope.js'
import { Agenda } from './agenda.js'
import type { HistoryEvent, HistoryKind } from './history.js'
import type { AuditedEntry, AuditSettings } from './options.js'
import { Sample } from './sample.js'
import { type Print, printOf, sightOf } from './sight.js'
import { type Outcome, Tally, type WindowTally } from './tally.js'
import { type Because, because, type Difference, differenceOf } from './verdict.js'
import { type Watched, WatchedKeys } from './watched.js'

/** How a key was looked at last. */
export interface AuditLook {
  /** In milliseconds since 1970. */
  readonly at: number
  readonly windowMs: number
  readonly outcome: Outcome
  /** Who gives readers something else than the origin has; only if it is inconsistent. */
  readonly where?: 'redis' | 'local' | undefined
  readonly because?: Because | undefined
}

/** What is known of one key of the sample. */
export interface Explanation {
  /** The last ones, the oldest first; what other processes did is not among them. */
  readonly events: readonly HistoryEvent[]
  /** `undefined` before the first. */
  readonly look: AuditLook | undefined
}

/** An entry that was found to be inconsistent. */
export interface AuditFinding extends AuditedEntry, Explanation {}

/** What an audit has done so far. */
export interface AuditStats {
  /** Keys that are watched now. */
  readonly watched: number
  /** Events of keys of the sample that were not watched: there was no room, or their words are hashed in the key. */
  readonly passedOver: number
  readonly windows: readonly WindowTally[]
}

/** A planned look; with what the first one found, the one that has to find the same. */
interface Look {
  readonly watched: Watched
  readonly window: number
  readonly first?: { readonly origin: string; readonly difference: Difference }
}

/** After these a key is looked at; the others only explain. */
const LOOKED_AFTER: ReadonlySet<HistoryKind> = new Set([
  'hit',
  'stale',
  'load',
  'fill',
  'write',
  'invalidate',
  'tag',
])
/** Of the hits in this process. */
const ONE_IN = 16
const LATE_MS = 1000
const TURN_MS = 60_000
const FINDINGS = 20

/**
 * Compares what readers get, from this process and from Redis, with what the origin has, for a sample of all keys: see
 * `Cache.audit`. Ends with the cache.
 */
export class CacheAudit implements Disposable {
  readonly #instance: Instance
  readonly #settings: AuditSettings
  readonly #sample: Sample
  readonly #keys: WatchedKeys
  readonly #agenda: Agenda<Look>
  readonly #origin: Origin
  readonly #print: Print
  readonly #tally: Tally
  readonly #looks = new WeakMap<Watched, AuditLook>()
  readonly #findings: AuditFinding[] = []
  readonly #stop = new AbortController()
  readonly #unlisten: () => void
  readonly #turning: NodeJS.Timeout
  #untilHeld = 1
  #passedOver = 0

  /** @internal */
  constructor(instance: Instance, settings: AuditSettings) {
    if (instance.closed) throw new ClosedError('the cache is closed')
    if (instance.audit !== undefined) throw new ConfigurationError('the cache is being audited already')
    const { ppm, maxKeys, maxConcurrent, deadlineMs, windowsMs, versionOf } = settings
    this.#instance = instance
    this.#settings = settings
    this.#sample = new Sample(ppm)
    this.#keys = new WatchedKeys(maxKeys)
    this.#agenda = new Agenda(maxConcurrent, (look, lateMs) => this.#look(look, lateMs))
    // A call that is not waited for any more keeps its place until it ends.
    this.#origin = new Origin({ maxConcurrent, maxWaitMs: deadlineMs })
    this.#print = versionOf === undefined ? printOf : (value) => String(versionOf(value))
    this.#tally = new Tally(windowsMs)
    this.#turning = setInterval(() => this.#sample.turn(Date.now()), TURN_MS).unref()
    this.#unlisten = instance.port.onTopology((_, changes) => this.#moved(changes))
    instance.audit = this
    if (instance.local !== undefined) instance.local.news = (key) => this.#add('news', this.#keys.get(key))
  }

  stats(): AuditStats {
    return { watched: this.#keys.size, passedOver: this.#passedOver, windows: this.#tally.windows() }
  }

  /** What has happened to an entry lately, and how it was looked at; `undefined` for what is not watched. */
  explain(id: Id, { tenant }: { readonly tenant?: string | undefined } = {}): Explanation | undefined {
    const watched = this.#keys.get(new Scope(this.#instance, tenant).key(id))
    return watched && this.#explained(watched)
  }

  /** The last twenty entries that were found to be inconsistent, as they were explained then. They name tenants and ids. */
  findings(): readonly AuditFinding[] {
    return [...this.#findings]
  }

  /** Stops looking; calls of `load` under way are told to end. Idempotent. */
  close(): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    this.#agenda.close()
    this.#unlisten()
    clearInterval(this.#turning)
    this.#keys.clear()
    this.#instance.audit = undefined
    if (this.#instance.local !== undefined) this.#instance.local.news = undefined
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal Something has happened to a key, from then on in the time of `performance.now()`. */
  saw(kind: HistoryKind, key: Key, from?: number, version?: Buffer): void {
    if (!this.#sample.has(key)) return
    this.#add(kind, this.#keys.get(key) ?? this.#admit(key), from, version)
  }

  /** @internal A hit in this process, of which there are so many that a few of them have to do. */
  sawHeld(key: Key, version: Buffer): void {
    if (--this.#untilHeld > 0) return
    // At random, so that what is read in turns is not passed over each time.
    this.#untilHeld = 1 + Math.floor(2 * ONE_IN * Math.random())
    this.saw('hit', key, undefined, version)
  }

  /** @internal This process has changed tags. */
  sawTags(keys: readonly Key[], from: number): void {
    for (const watched of this.#keys.all()) {
      if (keys.some((key) => watched.tags.has(key))) this.#add('tag', watched, from)
    }
  }

  #add(kind: HistoryKind, watched: Watched | undefined, from?: number, version?: Buffer): void {
    if (watched === undefined) return
    const now = Date.now()
    const at = from === undefined ? now : now - (performance.now() - from)
    watched.history.add(kind, at, version?.toString('hex'))
    if (LOOKED_AFTER.has(kind)) this.#plan(watched)
  }

  /** One look a window at a time, and another one after it if something has happened since it was planned. */
  #plan(watched: Watched): void {
    let isNew = false
    const { windowsMs } = this.#settings
    for (let window = 0; window < windowsMs.length; window++) {
      if (watched.planned[window] === true) {
        watched.again[window] = true
        continue
      }
      isNew = true
      this.#planIn(watched, window)
    }
    if (isNew) this.#keys.renew(watched)
  }

  #planIn(watched: Watched, window: number): void {
    watched.planned[window] = true
    watched.pending++
    this.#agenda.plan({ watched, window }, this.#settings.windowsMs[window] ?? 0)
  }

  #admit(key: Key): Watched | undefined {
    const read = readKey(key)
    // A tag, which is not looked at, but by what bears it.
    if (read?.pattern !== 'cache') return undefined
    const { id, tenant } = read
    const isNamed = !id.hashed && tenant?.hashed !== true
    const watched = isNamed ? this.#keys.admit(key, { tenant: tenant?.words, id: id.words }) : undefined
    if (watched === undefined) this.#passedOver++
    return watched
  }

  #moved(changes: readonly TopologyChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'failover' && change.kind !== 'slots-moved') continue
      const slots = change.kind === 'slots-moved' ? new Set(change.slots) : undefined
      const topology = this.#instance.port.topology()
      for (const watched of this.#keys.all()) {
        const slot = slotOf(watched.key)
        if (slots?.has(slot) ?? topology.ownerOf(slot)?.id === change.to?.id) {
          this.#add(slots === undefined ? 'failover' : 'moved', watched)
        }
      }
    }
  }

  /** Never rejects. */
  async #look(look: Look, lateMs: number): Promise<void> {
    const from = performance.now()
    const { watched, window } = look
    const windowMs = this.#settings.windowsMs[window] ?? 0
    let found: Found = { outcome: 'failed' }
    try {
      if (lateMs <= Math.max(LATE_MS, windowMs)) {
        const seen =
          look.first === undefined ? await this.#first(look) : await this.#second(watched, look.first)
        if (seen === undefined) return
        found = seen
      }
    } catch (error) {
      if (!this.#isClosed) this.#instance.report(error, 'audit', watched.key)
    }
    watched.planned[window] = false
    watched.pending--
    if (this.#isClosed) return
    this.#end(watched, windowMs, found, from)
    if (watched.again[window] !== true) return
    watched.again[window] = false
    this.#planIn(watched, window)
  }

  #end(watched: Watched, windowMs: number, { outcome, difference }: Found, from: number): void {
    const { key, entry, history } = watched
    this.#tally.count(windowMs, outcome)
    const isFound = outcome === 'inconsistent' && difference !== undefined
    const details = isFound
      ? { where: difference.where, because: because(difference, history.events()) }
      : { where: undefined, because: undefined }
    this.#looks.set(watched, { at: Date.now(), windowMs, outcome, ...details })
    if (isFound) {
      if (this.#findings.length >= FINDINGS) this.#findings.shift()
      this.#findings.push({ ...entry, ...this.#explained(watched) })
    }
    publish('slotwise:cache:audit', () => ({
      name: this.#instance.settings.name,
      key,
      windowMs,
      outcome,
      ...details,
      durationMs: performance.now() - from,
    }))
  }

  /** `undefined` where another look has to find the same. */
  async #first({ watched, window }: Look): Promise<Found | undefined> {
    const { confirmAfterMs, deadlineMs } = this.#settings
    const sight = await sightOf(this.#instance, watched.key, this.#print, deadlineMs)
    if (sight.redis !== undefined) watched.tags = new Set(sight.redis.tags)
    if (sight.redis === undefined && sight.local === undefined) return { outcome: 'absent' }
    const origin = await this.#ask(watched)
    const difference = differenceOf(sight, origin)
    if (difference === undefined) return { outcome: 'consistent' }
    // It may have been changed just now, or between the two reads.
    this.#agenda.plan({ watched, window, first: { origin, difference } }, confirmAfterMs)
    return undefined
  }

  async #second(watched: Watched, first: NonNullable<Look['first']>): Promise<Found> {
    if ((await this.#ask(watched)) !== first.origin) return { outcome: 'moving' }
    const sight = await sightOf(this.#instance, watched.key, this.#print, this.#settings.deadlineMs)
    const difference = differenceOf(sight, first.origin)
    if (sight.redis === undefined && sight.local === undefined) return { outcome: 'absent' }
    if (difference === undefined) return { outcome: 'consistent' }
    const { where, version } = first.difference
    const isSame = difference.where === where && difference.version === version
    if (!isSame || (await this.#ask(watched)) !== first.origin) return { outcome: 'moving' }
    return { outcome: 'inconsistent', difference }
  }

  /** What the origin has, as readers would get it. */
  async #ask({ entry }: Watched): Promise<string> {
    const { load, deadlineMs } = this.#settings
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(deadlineMs)])
    const loading = this.#origin.run(() => load(entry, { signal }), signal)
    const value = await unlessAborted(loading, signal)
    const { codec } = this.#instance.settings
    return this.#print(await codec.reread(codec.payload(value)))
  }

  #explained(watched: Watched): Explanation {
    return { events: watched.history.events(), look: this.#looks.get(watched) }
  }

  get #isClosed(): boolean {
    return this.#stop.signal.aborted
  }
}

interface Found {
  readonly outcome: Outcome
  readonly difference?: Difference | undefined
}
