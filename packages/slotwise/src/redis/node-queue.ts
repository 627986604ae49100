import { addressOf } from './address.js'
import { authOf, type Credentials, type Login } from './credentials.js'
import type { Flight } from './flight.js'
import type { Endpoint, Link, OpenLink, Outcome, Outgoing } from './link.js'
import type { Argument } from './port.js'

/** What a queue tells the port. */
export interface QueueEvents {
  ended(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void
  /** It answers, for the first time or again. */
  ready(queue: NodeQueue): void
  down(queue: NodeQueue, cause: unknown, wasUp: boolean): void
  /** It may have been replaced without knowing: see {@link NodeQueue.doubtfulSince}. */
  doubtful(queue: NodeQueue): void
}

/** What every connection begins with, and how long a node may be silent and still be the owner for certain. */
export interface QueueSettings {
  readonly open: OpenLink
  readonly login: Login
  readonly clientName: string
  readonly silenceMs: () => number
}

/** What has to stand before a command: ASKING for the target of a half-moved slot, READONLY for a replica. */
export type Prefix = 'asking' | 'readonly' | undefined

type Command = readonly [name: string, ...args: Argument[]]

/** One attempt at a call. */
class Attempt implements Outgoing {
  readonly flight: Flight
  readonly attempt: number
  readonly sentAt: number
  readonly command: Command
  readonly prefix: Prefix
  readonly #ended: (attempt: Attempt, outcome: Outcome) => void

  constructor(
    flight: Flight,
    command: Command,
    prefix: Prefix,
    ended: (attempt: Attempt, outcome: Outcome) => void,
  ) {
    this.flight = flight
    this.attempt = flight.attempt
    this.sentAt = flight.sentAt
    this.command = command
    this.prefix = prefix
    this.#ended = ended
  }

  get binary(): boolean {
    return this.flight.request.binary
  }

  settled(outcome: Outcome): void {
    this.#ended(this, outcome)
  }
}

const NOT_YET = 'not connected yet'
const nobody = () => {}

/** The calls of one turn of the event loop become one write to the node; and whether the node is to be believed. */
export class NodeQueue {
  readonly address: string
  readonly #link: Link
  readonly #events: QueueEvents
  readonly #settings: QueueSettings
  #waiting: Attempt[] = []
  #underWay = 0
  #lastHeardAt = performance.now()
  /** When it was asked what it has answered: it lived then, and an answer may have lain in the socket since. */
  #aliveAt = performance.now()
  /** By how much the wall clock was ahead at the last answer. While the machine is suspended, the other one stands still. */
  #aheadMs = Date.now() - performance.now()
  #answers = false
  #pingedAt: number | undefined
  #connections = 0
  #isLoggedIn = false
  #closed = false
  #wasLost = false
  /**
   * When the node was last silent for so long, or away, that another may have been elected in its place. A paused
   * primary that wakes up serves what it holds for some milliseconds before it learns that it was replaced, so
   * nothing it says counts until another node has been asked.
   */
  doubtfulSince: number | undefined
  /** When such a doubt was last settled, or it became known. What was asked before counts from the owner only, even if it comes after. */
  believedAt = performance.now()
  /** Why the node cannot be reached; `undefined` while it can. */
  downBecause: unknown = NOT_YET
  /** Since when; in the time of `performance.now()`. */
  downSince: number | undefined = performance.now()
  /** How long it was away before it answered last; `undefined` while it has never been lost. */
  awayMs: number | undefined
  /** It is there and does not let this user in: no waiting helps. */
  refusal: string | undefined
  /** How long an answer takes, smoothed; `undefined` before the first. */
  rttMs: number | undefined

  constructor(endpoint: Endpoint, settings: QueueSettings, events: QueueEvents) {
    this.address = addressOf(endpoint)
    this.#events = events
    this.#settings = settings
    this.#link = settings.open(endpoint, {
      ready: () => {
        if (this.#connections++ > 0) this.#doubt()
        this.#pingedAt = undefined
        this.#isLoggedIn = false
        // Why an earlier connection failed tells more, as long as this one has not been answered either.
        if (this.downBecause === NOT_YET) this.downBecause = 'connected, but it does not answer'
        // The kernel accepts connections for a process that is stopped: only an answer shows that it runs.
        this.#ping()
      },
      down: (cause) => {
        if (this.#closed) return
        this.#pingedAt = undefined
        this.#isDown(cause ?? this.downBecause ?? 'the connection was closed')
      },
    })
  }

  /** It answers. */
  get ready(): boolean {
    return this.#answers && this.#link.ready
  }

  /** What it says now can be believed: it is in no doubt, and lived lately. */
  isCertain(): boolean {
    if (this.doubtfulSince !== undefined) return false
    const now = performance.now()
    const suspendedMs = Math.max(0, Date.now() - now - this.#aheadMs)
    return now - this.#aliveAt + suspendedMs <= this.#settings.silenceMs()
  }

  /** Whether an answer is still to come. */
  get isUsed(): boolean {
    return this.#waiting.length > 0 || this.#underWay > 0
  }

  /** Sends this command, behind what it needs before it. */
  push(flight: Flight, command: Command, prefix: Prefix): void {
    if (this.#waiting.length === 0) {
      // Where others are under way, once all nodes that have answered were read: what follows from that joins one write. Else after
      // the microtasks of this turn.
      if (this.#underWay > 0) setImmediate(this.#flushNow)
      else queueMicrotask(this.#flushSoon)
    }
    this.#waiting.push(new Attempt(flight, command, prefix, this.#ended))
  }

  /** Sends what waits now, instead of at the end of this turn. */
  flush(): void {
    this.#flush()
  }

  /**
   * A call ran out of time. If the node was silent for most of it, no further call is risked on it until it answers
   * a PING; calls under way keep their chance. Answers that came at first were to calls before this one.
   */
  suspect(sentAt: number): void {
    const now = performance.now()
    if (!this.ready || now - this.#lastHeardAt < (now - sentAt) / 2) return
    this.#ping()
    this.#isDown('it does not answer')
  }

  /** Asks whether the node still answers, and gives the connection up when it has not for `timeoutMs`. */
  probe(timeoutMs: number): void {
    if (!this.#link.ready) return
    if (this.#pingedAt === undefined) this.#ping()
    else if (performance.now() - this.#pingedAt > timeoutMs) {
      this.#pingedAt = undefined
      this.#link.reset()
    }
  }

  /** Logs in anew on the connection that is open, with credentials that have changed. */
  logInAgain(): void {
    this.#isLoggedIn = false
    this.#ping()
  }

  believe(): void {
    this.doubtfulSince = undefined
    this.believedAt = performance.now()
  }

  close(): void {
    this.#closed = true
    this.#link.close()
  }

  #isDown(cause: unknown): void {
    const wasUp = this.#answers
    if (wasUp) {
      this.#wasLost = true
      this.downSince = performance.now()
    }
    this.#answers = false
    this.downBecause = cause
    this.#events.down(this, cause, wasUp)
  }

  #doubt(): void {
    this.doubtfulSince ??= performance.now()
    this.#events.doubtful(this)
  }

  #ping(): void {
    if (this.#pingedAt !== undefined || !this.#link.ready) return
    this.#pingedAt = performance.now()
    if (this.#isLoggedIn) return this.#sendPing(undefined)
    const credentials = this.#settings.login.current()
    if (!(credentials instanceof Promise)) return this.#sendPing(credentials)
    const connection = this.#connections
    const isCurrent = () => connection === this.#connections && this.#link.ready
    credentials.then(
      (asked) => {
        if (isCurrent()) this.#sendPing(asked)
      },
      (error: unknown) => {
        if (!isCurrent()) return
        this.#pingedAt = undefined
        if (!this.#answers) this.#isDown(error)
      },
    )
  }

  /** A PING, behind the log-in where there has been none on this connection. */
  #sendPing(credentials: Credentials | undefined): void {
    const sentAt = performance.now()
    this.#pingedAt = sentAt
    const isCurrent = () => this.#pingedAt === sentAt
    let refusal: string | undefined
    const batch: Outgoing[] = []
    if (!this.#isLoggedIn) {
      const settled = (outcome: Outcome) => {
        if (outcome.kind !== 'refused' || !isCurrent()) return
        refusal = outcome.message
        this.#settings.login.refused(credentials)
      }
      if (credentials !== undefined) batch.push({ command: authOf(credentials), binary: false, settled })
      // Nothing depends on the name, and a user may lack the right to give one.
      const command = ['CLIENT', 'SETNAME', this.#settings.clientName] as const
      batch.push({ command, binary: false, settled: nobody })
    }
    const settled = (outcome: Outcome) => {
      if (!isCurrent()) return
      this.#pingedAt = undefined
      if (outcome.kind !== 'reply' && outcome.kind !== 'refused') return
      if (outcome.kind === 'refused' && outcome.message.startsWith('NOAUTH')) refusal ??= outcome.message
      this.#heard(sentAt)
      this.#entered(refusal)
      const tookMs = performance.now() - sentAt
      this.rttMs = this.rttMs === undefined ? tookMs : this.rttMs * 0.8 + tookMs * 0.2
    }
    this.#link.send([...batch, { command: ['PING'], binary: false, settled }])
  }

  #entered(refusal: string | undefined): void {
    this.refusal = refusal
    if (refusal !== undefined) {
      // A connection that is in already stays in, whatever became of the password since.
      if (!this.#answers) this.#isDown(refusal)
      return
    }
    this.#isLoggedIn = true
    if (this.#answers) return
    this.#answers = true
    if (this.#wasLost) this.awayMs = performance.now() - (this.downSince ?? performance.now())
    this.downBecause = undefined
    this.downSince = undefined
    this.#events.ready(this)
  }

  #heard(sentAt: number): void {
    const now = performance.now()
    const aheadMs = Date.now() - now
    // What was asked before a silence may have been done during it, however many answers came in between.
    const suspendedMs = Math.max(0, aheadMs - this.#aheadMs)
    const silentMs = now - Math.min(sentAt, this.#aliveAt) + suspendedMs
    this.#lastHeardAt = now
    this.#aliveAt = Math.max(this.#aliveAt, sentAt) - suspendedMs
    this.#aheadMs = aheadMs
    if (silentMs > this.#settings.silenceMs()) this.#doubt()
  }

  readonly #flushNow = (): void => {
    this.#flush()
  }

  readonly #flushSoon = (): void => {
    process.nextTick(this.#flushNow)
  }

  readonly #ended = ({ flight, attempt, sentAt }: Attempt, outcome: Outcome): void => {
    this.#underWay--
    if (outcome.kind !== 'lost' && outcome.kind !== 'unsent') this.#heard(sentAt)
    this.#events.ended(flight, attempt, outcome, this)
  }

  #flush(): void {
    const batch: Outgoing[] = []
    const waiting = this.#waiting
    this.#waiting = []
    let isReading = false
    for (const attempt of waiting) {
      const { flight, prefix } = attempt
      // Given up or sent elsewhere before it left.
      if (flight.settled || flight.attempt !== attempt.attempt) continue
      flight.sent = true
      // Reads of a replica stand between READONLY and READWRITE: the connection would go on serving them without
      // a word if the node lost its slots, and calls that must not be stale share it.
      if ((prefix === 'readonly') !== isReading) {
        isReading = !isReading
        batch.push({ command: [isReading ? 'READONLY' : 'READWRITE'], binary: false, settled: nobody })
      }
      // ASKING covers the one command behind it, so each attempt brings its own.
      if (prefix === 'asking') batch.push({ command: ['ASKING'], binary: false, settled: nobody })
      this.#underWay++
      batch.push(attempt)
    }
    if (isReading) batch.push({ command: ['READWRITE'], binary: false, settled: nobody })
    if (batch.length > 0) this.#link.send(batch)
  }
}
