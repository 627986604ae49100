import { ClosedError, ReplyError, UnexpectedReplyError } from '../errors.js'
import type { RetryReason } from '../telemetry.js'
import { CallRecord, retried } from './call-events.js'
import { Deadlines } from './deadlines.js'
import { Flight, type FlightOwner } from './flight.js'
import type { Endpoint, Outcome } from './link.js'
import type { NodeQueue, Prefix } from './node-queue.js'
import type { PortCallOptions, Reply } from './port.js'
import { flawOf, inBytes } from './reply.js'
import { asText, type Request } from './request.js'
import { type Backoff, backoffMs, isFinal, LAST_MS, targetOf, verdictOf } from './retry.js'

/** What flights need to know of the cluster, and whom they tell that something looks wrong. */
export interface Surroundings {
  readonly commandTimeoutMs: number
  readonly maxRetries: number
  readonly retryBackoffMs: Backoff
  /** `host:port` of whoever owns the slot; `undefined` while nobody does. */
  ownerOf(slot: number): string | undefined
  /** Where a read of the slot goes that may be stale. */
  readerOf(slot: number): string | undefined
  /** Whether what is reached there is a replica, or a primary in whose place one was elected. */
  isReplaced(address: string): boolean
  /** Whether what it says of the slot counts; `isAsking` of it as the target of a half-moved slot. */
  serves(address: string, slot: number, isAsking: boolean): boolean
  /** `host:port` at which a node is reached that calls itself so. */
  reach(endpoint: Endpoint): string
  queueOf(address: string): NodeQueue
  refresh(): void
  moved(slot: number, to: Endpoint): void
}

/** Redirections in a row that are followed at once; more means that two nodes disagree, and time will tell. */
const EAGER_REDIRECTIONS = 5

/** Brings every call to the node that owns its slot, wherever that is by then, until it is answered or out of time. */
export class Dispatcher implements FlightOwner {
  readonly #surroundings: Surroundings
  readonly #deadlines = new Deadlines()
  /** Flights that wait for a node or an election, each with how to send it on at once. */
  readonly #paused = new Map<Flight, () => void>()
  /** The port's own questions, which nobody else waits for. */
  readonly #own = new Set<Flight>()
  /** Answers of nodes that may have been replaced, each with how to go on once another node has been asked. */
  readonly #held = new Map<Flight, { readonly queue: NodeQueue; readonly release: () => void }>()
  /** How many of the flights are not the port's own. */
  #calls = 0
  #closed = false
  #drained: (() => void) | undefined

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  /** `isOwn` for who owns what: the port asks until it is closed, since the calls under way may need to know. */
  start(request: Request, options?: PortCallOptions, isOwn = false): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      this.launch(request, options, resolve, reject, { isOwn })
    })
  }

  /** {@link start} for whoever needs no promise: a call of many costs half of one alone. */
  launch(
    request: Request,
    options: PortCallOptions | undefined,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
    { isOwn = false, now = performance.now() }: { readonly isOwn?: boolean; readonly now?: number } = {},
  ): void {
    if (this.#closed && !isOwn) return reject(new ClosedError('this port has been closed'))
    const ms = options?.deadlineMs ?? this.#surroundings.commandTimeoutMs
    const flight = new Flight(request, now + ms, resolve, reject, isOwn, this)
    // A twentieth, where that is less.
    flight.lastSendAt = now + ms - Math.min(LAST_MS, ms / 20)
    if (isOwn) this.#own.add(flight)
    else {
      this.#calls++
      flight.record = CallRecord.begin(request, now)
    }
    const signal = options?.signal
    if (signal !== undefined) listen(flight, signal)
    if (flight.settled) return
    flight.deadline = this.#deadlines.set(ms, flight, now)
    this.#dispatch(flight, now)
  }

  /** How many calls are under way. */
  get calls(): number {
    return this.#calls
  }

  landed(flight: Flight): void {
    if (this.#paused.size > 0) this.#paused.delete(flight)
    if (this.#held.size > 0) this.#held.delete(flight)
    if (flight.isOwn) this.#own.delete(flight)
    else if (--this.#calls === 0) this.#drained?.()
  }

  /** Sends a flight to whoever owns its slot now, or lets it wait until somebody does. */
  #dispatch(flight: Flight, now = performance.now()): void {
    const { slot, node, mayBeStale } = flight.request
    // One try elsewhere; whatever came of that, the primary is the one to ask.
    if (mayBeStale && slot !== undefined && flight.attempt === 0) {
      const reader = this.#surroundings.readerOf(slot)
      if (reader !== undefined && reader !== this.#surroundings.ownerOf(slot)) {
        return this.#send(flight, reader, 'readonly', { now })
      }
    }
    const address = node ?? (slot === undefined ? undefined : this.#surroundings.ownerOf(slot))
    if (address === undefined) {
      this.#surroundings.refresh()
      return this.#await(flight, `nobody serves slot ${slot}`)
    }
    this.#send(flight, address, undefined, { now })
  }

  #send(
    flight: Flight,
    address: string,
    prefix: Prefix,
    { text = false, now = performance.now() }: { readonly text?: boolean; readonly now?: number } = {},
  ): void {
    const queue = this.#surroundings.queueOf(address)
    flight.node = address
    flight.prefix = prefix
    // Who asks who owns what has others to ask, and whoever connects has to know why it cannot.
    if (flight.isOwn && queue.refusal !== undefined) return flight.reject(new ReplyError(queue.refusal))
    if (!queue.ready) return this.#await(flight, queue.downBecause)
    if (this.#isDoubtful(flight, queue)) return this.#await(flight, `${address} may have been replaced`)
    if (flight.attempt > 0 && flight.request.repeat === 'unsafe' && now > flight.lastSendAt) return
    flight.attempt++
    if (flight.record !== undefined) flight.record.sends++
    flight.sent = false
    flight.sentAt = now
    const command = text ? asText(flight.request) : flight.request.command
    queue.push(flight, command, prefix)
    this.#limitAttempt(flight, queue)
  }

  /** `commandTimeoutMs` bounds one attempt where the whole call may take longer. */
  #limitAttempt(flight: Flight, queue: NodeQueue): void {
    flight.endAttempt()
    const { attempt, sentAt } = flight
    const ms = this.#surroundings.commandTimeoutMs
    if (flight.deadlineAt - sentAt <= ms) return
    flight.attemptDeadline = this.#deadlines.set(ms, {
      expired: () => {
        if (flight.settled || flight.attempt !== attempt || !flight.sent) return
        this.#suspect(queue, sentAt)
        this.#lost(flight, 'timeout', new Error(`no answer within ${ms} ms`))
      },
    })
  }

  expired(flight: Flight): void {
    if (flight.node !== undefined && flight.sent) {
      this.#suspect(this.#surroundings.queueOf(flight.node), flight.sentAt)
    }
    flight.expire()
  }

  #suspect(queue: NodeQueue, sentAt: number): void {
    this.#surroundings.refresh()
    queue.suspect(sentAt)
  }

  #isDoubtful(flight: Flight, queue: NodeQueue): boolean {
    return queue.doubtfulSince !== undefined && isForOwner(flight)
  }

  /** Another node was asked who owns what, and this one can be believed again. */
  believed(queue: NodeQueue): void {
    for (const { queue: from, release } of Array.from(this.#held.values())) if (from === queue) release()
    this.wake((flight) => flight.node === queue.address)
  }

  /** Nothing was sent: there is nobody to send it to. */
  #await(flight: Flight, reason: unknown): void {
    flight.record?.keptBy('unavailable')
    this.#pause(flight, reason)
  }

  /** Lets a flight try again after a while, or as soon as the cluster or the node is different. */
  #pause(flight: Flight, reason: unknown, moving = false): void {
    flight.attempt++
    flight.sent = false
    flight.isDisputed = flight.redirections > EAGER_REDIRECTIONS
    flight.redirections = 0
    flight.delayedBy(reason, moving)
    const { attempt } = flight
    const again = () => {
      clearTimeout(timer)
      this.#paused.delete(flight)
      if (!flight.settled && flight.attempt === attempt) this.#dispatch(flight)
    }
    const timer = setTimeout(again, backoffMs(flight.refusals++, this.#surroundings.retryBackoffMs)).unref()
    this.#paused.set(flight, again)
  }

  /** How an attempt ended. */
  ended(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void {
    if (flight.settled || flight.attempt !== attempt) return
    if (isForOwner(flight) && isAnswer(outcome)) {
      if (queue.doubtfulSince !== undefined) return this.#hold(flight, attempt, outcome, queue)
      // What a node said that may have been replaced counts if it is still the owner, and else is as good as lost.
      if (flight.sentAt < queue.believedAt && !this.#isOwner(flight, queue))
        return this.#lost(flight, 'lost', new Error(`${queue.address} had been replaced when it answered`))
    }
    if (outcome.kind === 'reply') return answer(flight, outcome.reply)
    if (outcome.kind === 'unreadable') return unreadable(flight, outcome.reason)
    if (outcome.kind === 'unsent') return this.#await(flight, outcome.cause)
    if (outcome.kind === 'lost') return this.#lost(flight, 'lost', outcome.cause)
    this.#refused(flight, outcome.message, queue)
  }

  /** Until another node has been asked. */
  #hold(flight: Flight, attempt: number, outcome: Outcome, queue: NodeQueue): void {
    const release = () => {
      this.#held.delete(flight)
      this.ended(flight, attempt, outcome, queue)
    }
    this.#held.set(flight, { queue, release })
    this.#surroundings.refresh()
  }

  #isOwner({ request, prefix }: Flight, queue: NodeQueue): boolean {
    return this.#surroundings.serves(queue.address, request.slot ?? 0, prefix === 'asking')
  }

  #refused(flight: Flight, message: string, queue: NodeQueue): void {
    const verdict = verdictOf(message)
    const { node, script, slot } = flight.request
    // None of these was executed: if no time is left for another attempt, that is certain.
    flight.sent = false
    if (verdict.kind === 'no-script' && script !== undefined) {
      // It may have been replaced before it said so, and would be believed for what it is asked from now on.
      if (isForOwner(flight) && !this.#isOwner(flight, queue)) return this.#dispatch(flight)
      return this.#send(flight, queue.address, flight.prefix, { text: true })
    }
    if (
      node !== undefined ||
      slot === undefined ||
      verdict.kind === 'final' ||
      verdict.kind === 'no-script'
    ) {
      return flight.reject(new ReplyError(message))
    }
    const why = verdict.kind === 'later' ? verdict.why : verdict.kind
    retried(flight.record, flight.node, why, message)
    if (verdict.kind === 'later') {
      if (verdict.refresh) this.#surroundings.refresh()
      return this.#pause(flight, message, verdict.moving)
    }
    const target = targetOf(verdict, flight.node ?? '')
    if (verdict.kind === 'moved') {
      this.#surroundings.moved(verdict.slot, target)
      if (flight.redirections++ >= EAGER_REDIRECTIONS) return this.#pause(flight, message)
      return this.#dispatch(flight)
    }
    if (flight.redirections++ >= EAGER_REDIRECTIONS) return this.#pause(flight, message)
    const address = this.#surroundings.reach(target)
    // It was replaced, which whoever gives the slot away has not heard of, and itself perhaps neither.
    if (this.#surroundings.isReplaced(address)) {
      this.#surroundings.refresh()
      return this.#pause(flight, message)
    }
    this.#send(flight, address, 'asking')
  }

  #lost(flight: Flight, why: RetryReason, cause: unknown): void {
    this.#surroundings.refresh()
    if (flight.request.repeat === 'unsafe') return flight.unknown(cause)
    if (flight.losses++ >= this.#surroundings.maxRetries) return flight.unknown(cause)
    const reason = cause instanceof Error ? cause.message : String(cause)
    if (!flight.isOwn) retried(flight.record, flight.node, why, reason)
    this.#pause(flight, cause)
  }

  /** Why the node cannot be used is known now, to those who need to know. */
  refused(queue: NodeQueue): void {
    this.wake((flight) => flight.isOwn && flight.node === queue.address)
  }

  /** Sends on at once what waits. */
  wake(which: (flight: Flight) => boolean): void {
    for (const [flight, again] of Array.from(this.#paused)) if (which(flight)) again()
  }

  /** Whether a call waits for the node, or an answer of it for being believed. */
  waitsFor(address: string): boolean {
    for (const flight of this.#paused.keys()) if (flight.node === address) return true
    for (const { queue } of this.#held.values()) if (queue.address === address) return true
    return false
  }

  /** Takes no more calls and waits for those under way. */
  async drain(): Promise<void> {
    this.#closed = true
    if (this.#calls > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
  }

  /** Ends what is left. */
  close(): void {
    for (const flight of this.#own) flight.reject(new ClosedError('this port has been closed'))
    this.#deadlines.close()
  }
}

function listen(flight: Flight, signal: AbortSignal): void {
  const onAbort = () => {
    flight.abort(signal.reason)
  }
  if (signal.aborted) return onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  flight.unlisten = () => {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A question to one node is about that node, whoever owns the slots, and a replica may be behind. */
function isForOwner({ request, prefix }: Flight): boolean {
  return request.slot !== undefined && prefix !== 'readonly'
}

/** Nothing else says what a node holds. */
function isAnswer(outcome: Outcome): boolean {
  if (outcome.kind === 'refused') return isFinal(outcome.message)
  return outcome.kind === 'reply' || outcome.kind === 'unreadable'
}

function answer(flight: Flight, reply: Reply): void {
  const flaw = flawOf(reply)
  if (flaw !== undefined) return unreadable(flight, flaw)
  flight.resolve(flight.request.binary ? inBytes(reply) : reply)
}

function unreadable(flight: Flight, reason: string): void {
  flight.reject(new UnexpectedReplyError(`${flight.request.command[0]} was executed and answered ${reason}`))
}
