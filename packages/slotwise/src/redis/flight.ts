import { OutcomeUnknownError, RedisUnavailableError, SlotMovingError } from '../errors.js'
import { shown } from '../options.js'
import { ABORTED, type CallRecord } from './call-events.js'
import { unserved } from './connect-errors.js'
import type { Deadline } from './deadlines.js'
import type { Prefix } from './node-queue.js'
import type { Reply } from './port.js'
import type { Request } from './request.js'

/** Who hears that a flight ended or has to. */
export interface FlightOwner {
  expired(flight: Flight): void
  landed(flight: Flight): void
}

/** A call on its way: what was tried, what it waits for, and the one time it ends. */
export class Flight {
  readonly request: Request
  readonly deadlineAt: number
  /** After this it is not sent again, if it must not run twice. */
  lastSendAt = 0
  /** Repeats after answers that mean "not executed", for the backoff. */
  refusals = 0
  /** Lost connections and time-outs, which `maxRetries` counts. */
  losses = 0
  redirections = 0
  /** It waits because nodes send it to and fro: another redirection is no reason to go on. */
  isDisputed = false
  /** How the attempt under way was sent. */
  prefix: Prefix
  /** The port's own question, not a call of the application. */
  readonly isOwn: boolean
  sentAt = 0
  /** Raised whenever the flight moves on, so that what an earlier attempt still brings is known to be late. */
  attempt = 0
  /** `host:port` of the node asked last. */
  node: string | undefined
  /** It may have been executed and nobody answered: what it ends as is no longer "not executed". */
  sent = false
  settled = false
  /** Where somebody listens to calls. */
  record: CallRecord | undefined
  /** Of the whole call. */
  deadline: Deadline | undefined
  /** Of the attempt under way, where it has one of its own. */
  attemptDeadline: Deadline | undefined
  /** Takes back what listens to the caller's signal. */
  unlisten: (() => void) | undefined
  readonly #owner: FlightOwner
  #lastReason: unknown
  #moving = false
  readonly #resolve: (reply: Reply) => void
  readonly #reject: (error: unknown) => void

  constructor(
    request: Request,
    deadlineAt: number,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
    isOwn: boolean,
    owner: FlightOwner,
  ) {
    this.isOwn = isOwn
    this.#owner = owner
    this.request = request
    this.deadlineAt = deadlineAt
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Remembers why the flight has to wait; the deadline's error will tell. */
  delayedBy(reason: unknown, moving = false): void {
    this.#lastReason = reason
    this.#moving = moving
  }

  resolve(reply: Reply): void {
    if (this.settled) return
    this.#end()
    this.record?.end({ node: this.node, connection: 'shared' })
    if (this.node !== undefined) this.request.answeredBy?.(this.node)
    this.#resolve(reply)
  }

  reject(error: unknown): void {
    if (this.settled) return
    this.#end()
    this.record?.end({ error, node: this.node, connection: 'shared' })
    this.#reject(error)
  }

  /** Its caller gives up. */
  abort(reason: unknown): void {
    if (this.settled) return
    this.#end()
    this.record?.end({ error: ABORTED, node: this.node, connection: 'shared' })
    this.#reject(reason)
  }

  /** Its deadline has come. */
  expired(): void {
    this.#owner.expired(this)
  }

  /** Ends it because no time is left. */
  expire(): void {
    if (this.settled) return
    const { slot, command } = this.request
    const cause = this.#lastReason
    // However harmless a repeat is: "not executed" is only said where it is certain.
    if (this.sent || this.losses > 0) return this.unknown(cause)
    if (this.#moving && slot !== undefined) return this.reject(new SlotMovingError(slot, { cause }))
    const where = this.node === undefined ? unserved(slot) : `${this.node} did not answer`
    const why = cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : shown(cause)}`
    this.reject(
      new RedisUnavailableError(`${command[0]} found no server before its deadline, ${where}${why}`, {
        node: this.node,
        cause,
      }),
    )
  }

  /** Ends it because it may have been executed. */
  unknown(cause: unknown): void {
    const node = this.node ?? 'unknown'
    this.reject(
      new OutcomeUnknownError(`${this.request.command[0]} was sent to ${node}, which did not answer`, {
        node,
        cause,
      }),
    )
  }

  #end(): void {
    this.settled = true
    if (this.deadline !== undefined) this.deadline.timed = undefined
    this.endAttempt()
    this.unlisten?.()
    this.#owner.landed(this)
  }

  /** The attempt under way has no deadline of its own any more. */
  endAttempt(): void {
    if (this.attemptDeadline === undefined) return
    this.attemptDeadline.timed = undefined
    this.attemptDeadline = undefined
  }
}
